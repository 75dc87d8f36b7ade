//! `webtask serve`: the runtime, until a signal ends it.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use clap::Args;
use webtask_host::{
    CodeMirror, CodeMirrorError, CodePrefix, Config, ConfigFile, RegistryAuth, Revocations,
    audit::Policy, chain,
};

use super::{
    Failure, block_on,
    keys::{read_keyring, read_private},
    print,
    run::{bind, run},
};

/// Serve webtask requests
///
/// Answers requests to /run and /run/... that carry a token, as `Authorization: Bearer wt1...` or as
/// `Webtask-Token: wt1...`. Prints the address when it is ready. The first SIGTERM or Ctrl-C stops
/// accepting and lets finish what runs, for 30 s at most; the second ends at once. The keyring is read
/// again when its file changes and on SIGHUP; a broken one is reported and the old keys stay in force.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask serve --keys keys.toml --allow-code ./target/wasm32-wasip2/release
  webtask serve --keys keys.toml --allow-code https://code.example.com/webtasks/
  webtask serve --keys keys.toml --allow-code oci://registry.example.com/team/
  webtask serve --keys keys.toml --policy platform.wit
  webtask serve --config webtask.toml

Set WEBTASK_LOG to debug, warn or off to see more or less on stderr.")]
pub(crate) struct ServeCommand {
    /// The keyring file (see `webtask keys generate`)
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: Option<PathBuf>,
    /// A configuration file, TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The file of revoked tokens, made if missing; one runtime has it at a time [default: beside the keyring]
    #[arg(long, value_name = "FILE")]
    revocations: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where code may come from: a directory, a URL prefix, an oci:// prefix of a registry, or a scheme such as
    /// https:// [default: https://]
    #[arg(long, value_name = "PREFIX")]
    allow_code: Vec<String>,
    /// Code of one URL prefix is fetched from another first: FROM=TO, or 'FROM=TO only' for never from the
    /// URL itself; may be repeated
    #[arg(long, value_name = "FROM=TO")]
    code_mirror: Vec<String>,
    /// Credentials of registries, a file in the form of docker's config.json
    #[arg(long, value_name = "FILE")]
    registry_auth: Option<PathBuf>,
    /// An address or range beyond the public internet that webtasks may reach, where a grant names the
    /// address itself
    #[arg(long, value_name = "CIDR")]
    allow_private: Vec<String>,
    /// A name server to ask, in the place of the machine's; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<String>,
    /// A PEM file of certificate authorities to trust beside the machine's; may be repeated
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// The ceiling of the platform, a world of WIT such as `webtask audit` prints: what is outside of it is
    /// refused, whatever a token says
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl ServeCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = match &self.config {
            Some(path) => read_config(path)?,
            None => ConfigFile::default(),
        };
        let keys = self.keys.or(file.keys).ok_or_else(|| {
            Failure::usage("no keyring").hint(
                "make one with: webtask keys generate --keys keys.toml; then pass --keys keys.toml",
            )
        })?;
        let listen = self
            .listen
            .or(file.listen)
            .unwrap_or_else(|| "127.0.0.1:8080".into());
        let config = Config {
            keyring: read_keyring(&keys)?,
            revocations: open_revocations(
                self.revocations
                    .or(file.revocations)
                    .unwrap_or_else(|| beside(&keys)),
            )?,
            limits: file.limits,
            code: code_prefixes(if self.allow_code.is_empty() {
                file.allow_code
            } else {
                self.allow_code
            })?,
            mirrors: code_mirrors(if self.code_mirror.is_empty() {
                file.code_mirror
            } else {
                self.code_mirror
            })?,
            registries: self.registry_auth.or(file.registry_auth).map_or_else(
                || Ok(RegistryAuth::default()),
                |path| read_registries(&path),
            )?,
            private: private_ranges(if self.allow_private.is_empty() {
                file.allow_private
            } else {
                self.allow_private
            })?,
            dns: name_servers(if self.dns.is_empty() {
                file.dns
            } else {
                self.dns
            })?,
            ca: if self.ca.is_empty() { file.ca } else { self.ca },
            policy: self
                .policy
                .or(file.policy)
                .map(|path| read_policy(&path))
                .transpose()?,
        };
        block_on(async {
            let listener = bind(&listen).await?;
            run(listener, config, Some(&keys), |address| {
                print(format!("listening on http://{address}\n"))
            })
            .await
        })
    }
}

/// `keys.toml` → `keys.toml.revocations`.
fn beside(keys: &Path) -> PathBuf {
    let mut name = keys.as_os_str().to_owned();
    name.push(".revocations");
    name.into()
}

fn open_revocations(path: PathBuf) -> Result<Revocations, Failure> {
    Revocations::open(&path).map_err(|error| {
        Failure::usage(format!("revocations {}: {}", path.display(), chain(&error)))
            .hint("one runtime has the file at a time, in a directory that it may write to; name another with --revocations")
    })
}

fn read_config(path: &Path) -> Result<ConfigFile, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    ConfigFile::parse(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| {
            text.get(..span.start)
                .unwrap_or_default()
                .matches('\n')
                .count()
                + 1
        });
        Failure::refused(format!(
            "{shown}, line {line}: {}",
            error.message().replace('\n', " ")
        ))
    })
}

/// A policy that is not understood is no policy: nothing is served without it.
pub(super) fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read the policy {shown}: {error}")))?;
    Policy::parse(&shown, &text).map_err(|error| Failure::refused(error.to_string()))
}

fn code_prefixes(given: Vec<String>) -> Result<Vec<CodePrefix>, Failure> {
    if given.is_empty() {
        return Ok(vec![CodePrefix::any_https()]);
    }
    let parse = |text: &String| {
        text.parse()
            .map_err(|error: webtask_host::CodePrefixError| {
                Failure::usage(format!("--allow-code: {error}")).hint("name a directory that exists, or a URL prefix such as https://code.example.com/")
            })
    };
    given.iter().map(parse).collect()
}

fn code_mirrors(given: Vec<String>) -> Result<Vec<CodeMirror>, Failure> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|error: CodeMirrorError| Failure::usage(format!("--code-mirror: {error}")))
    };
    given.iter().map(parse).collect()
}

fn read_registries(path: &Path) -> Result<RegistryAuth, Failure> {
    let text = read_private(path, "who reads it has the passwords of registries")?;
    RegistryAuth::parse(text.expose())
        .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))
}

fn private_ranges(given: Vec<String>) -> Result<Vec<ipnet::IpNet>, Failure> {
    let parse = |text: &String| {
        let address = || text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
        text.parse::<ipnet::IpNet>()
            .or_else(|_| address())
            .map_err(|_| {
                Failure::usage(format!("--allow-private: {text:?} is no address or range"))
                    .hint("write 10.1.2.3, 10.0.0.0/8 or fd00::/8")
            })
    };
    given.iter().map(parse).collect()
}

fn name_servers(given: Vec<String>) -> Result<Vec<SocketAddr>, Failure> {
    let parse = |text: &String| {
        let address = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        text.parse::<SocketAddr>()
            .or_else(|_| address())
            .map_err(|_| {
                Failure::usage(format!("--dns: {text:?} is no address"))
                    .hint("write 10.0.0.53, 127.0.0.1:5353 or [fd00::53]:53")
            })
    };
    given.iter().map(parse).collect()
}
