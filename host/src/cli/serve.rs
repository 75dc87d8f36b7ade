//! `webtask serve`: the runtime, until a signal ends it.

use std::path::{Path, PathBuf};

use clap::Args;
use webtask_host::{Config, ConfigFile, Revocations, chain};

use super::{
    Failure, block_on,
    keys::read_keyring,
    print,
    run::{bind, run},
    settings::{Settings, read_config},
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
    /// Where code may come from: a directory, a URL prefix, or a scheme such as https:// [default: https://]
    #[arg(long, value_name = "PREFIX")]
    allow_code: Vec<String>,
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
        let settings = Settings::of(self.over(match &self.config {
            Some(path) => read_config(path)?,
            None => ConfigFile::default(),
        }))?;
        let keys = settings.keys.ok_or_else(|| {
            Failure::usage("no keyring").hint(
                "make one with: webtask keys generate --keys keys.toml; then pass --keys keys.toml",
            )
        })?;
        let revocations = settings.revocations.unwrap_or_else(|| beside(&keys));
        let config = Config {
            keyring: read_keyring(&keys)?,
            revocations: open_revocations(revocations)?,
            limits: settings.limits,
            code: settings.code,
            private: settings.private,
            dns: settings.dns,
            ca: settings.ca,
            policy: settings.policy,
            tenants: settings.tenants,
        };
        block_on(async {
            let listener = bind(&settings.listen).await?;
            run(listener, config, Some(&keys), |address| {
                print(format!("listening on http://{address}\n"))
            })
            .await
        })
    }

    /// The file with what the flags say in its place.
    fn over(&self, mut file: ConfigFile) -> ConfigFile {
        let all = |flag: &Vec<String>, of_file: Vec<String>| match flag.is_empty() {
            true => of_file,
            false => flag.clone(),
        };
        file.listen = self.listen.clone().or(file.listen);
        file.keys = self.keys.clone().or(file.keys);
        file.revocations = self.revocations.clone().or(file.revocations);
        file.policy = self.policy.clone().or(file.policy);
        file.allow_code = all(&self.allow_code, file.allow_code);
        file.allow_private = all(&self.allow_private, file.allow_private);
        file.dns = all(&self.dns, file.dns);
        if !self.ca.is_empty() {
            file.ca.clone_from(&self.ca);
        }
        file
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
