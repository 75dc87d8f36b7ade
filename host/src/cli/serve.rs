//! `webtask serve`: the runtime, until a signal ends it.

use std::path::{Path, PathBuf};

use clap::Args;
use webtask_host::{Config, ConfigFile, LogFormat, Revocations, chain};

use super::{
    Failure, block_on,
    keys::read_keyring,
    logging, print,
    run::{make_room_for_files, run},
    settings::{Settings, read_config},
    sockets::SocketFlags,
    traces,
};

/// Serve webtask requests
///
/// Answers requests to /run and /run/... that carry a token, as `Authorization: Bearer wt1...` or as
/// `Webtask-Token: wt1...`, over HTTP/1.1 and HTTP/2. Prints the addresses when it is ready. The first SIGTERM
/// or Ctrl-C stops accepting and lets finish what runs, for the time of --drain at most; the second ends at
/// once. The keyring and the certificate are read again when their files change and on SIGHUP; broken ones are
/// reported and the old ones stay in force.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask serve --keys keys.toml --allow-code ./target/wasm32-wasip2/release
  webtask serve --keys keys.toml --allow-code https://code.example.com/webtasks/
  webtask serve --keys keys.toml --allow-code oci://registry.example.com/team/
  webtask serve --keys keys.toml --policy platform.wit
  webtask serve --keys keys.toml --listen [::]:443 --tls-cert server.pem --tls-key server.key
  webtask serve --keys keys.toml --listen unix:/run/webtask/webtask.sock --ops 127.0.0.1:9090
  webtask serve --config webtask.toml

Set WEBTASK_LOG to debug, warn or off to see more or less on stderr, and OTEL_EXPORTER_OTLP_ENDPOINT to the URL of a
collector to export spans.")]
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
    #[command(flatten)]
    sockets: SocketFlags,
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
    /// A directory that keeps compiled code for the next start, for you alone; made if missing [default: none]
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
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
    /// How lines of the log on stderr are written: text, or json for one object a line [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl ServeCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = self.config.as_deref().map(read_config).transpose();
        let said = file.as_ref().ok().and_then(Option::as_ref);
        let format = self.log_format.or(said.and_then(|file| file.log_format));
        let format = format.unwrap_or_default();
        logging::start(format);
        let served = file.and_then(|file| self.serve(file.unwrap_or_default()));
        match format {
            LogFormat::Json => served.map_err(Failure::logged),
            _ => served,
        }
    }

    fn serve(self, file: ConfigFile) -> Result<(), Failure> {
        let mut file = self.over(file);
        let sockets = self.sockets.over(&mut file)?;
        let settings = Settings::of(file)?;
        let keys = settings.keys.clone().ok_or_else(|| {
            Failure::usage("no keyring").hint(
                "make one with: webtask keys generate --keys keys.toml; then pass --keys keys.toml",
            )
        })?;
        let revocations = settings.revocations.clone();
        let revocations = open_revocations(revocations.unwrap_or_else(|| beside(&keys)))?;
        let config = Config {
            traces: traces::from_environment()?,
            ..settings.config(read_keyring(&keys)?, revocations)
        };
        make_room_for_files();
        block_on(async {
            let sockets = sockets.bind().await?;
            run(sockets, config, Some(&keys), |sockets| {
                print(sockets.to_string())
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
        file.keys = self.keys.clone().or(file.keys);
        file.revocations = self.revocations.clone().or(file.revocations);
        file.policy = self.policy.clone().or(file.policy);
        file.cache_dir = self.cache_dir.clone().or(file.cache_dir);
        file.allow_code = all(&self.allow_code, file.allow_code);
        file.code_mirror = all(&self.code_mirror, file.code_mirror);
        file.registry_auth = self.registry_auth.clone().or(file.registry_auth);
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
