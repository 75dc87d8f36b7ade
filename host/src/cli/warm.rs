//! `webtask warm`: compiled code on disk before anybody asks for it.

use std::{path::PathBuf, time::Instant};

use clap::Args;
use serde::Serialize;
use webtask_host::{ConfigFile, Host, Loads, Revocations, chain};
use webtask_token::{DEFAULT_TENANT, Keyring};

use super::{
    Failure, block_on, print,
    settings::{Settings, read_config},
    token::{hex, source::locate},
};

/// Compile code into the cache directory, before it is asked for
///
/// Fetches each URL as `serve` would, with the same limits, prefixes and policies, and keeps what it compiles to
/// in the cache directory, from which every `serve` of this user with that directory takes it in a fraction of a
/// millisecond. One that runs already may have the directory open. Prints the SHA-256 of each component, for
/// `webtask token create --sha256`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask warm --config webtask.toml https://code.example.com/task.wasm
  webtask warm --cache-dir /var/cache/webtask --allow-code ./target/wasm32-wasip2 ./target/wasm32-wasip2/release/*.wasm

Exit status: 0 all are kept, 1 one is refused or not valid, 2 wrong use or a failure of the system.")]
pub(crate) struct WarmCommand {
    /// URLs or files of components
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// The configuration file of the runtime, TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory that keeps compiled code, for you alone; made if missing
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Where code may come from, as for `serve` [default: https://]
    #[arg(long, value_name = "PREFIX")]
    allow_code: Vec<String>,
    /// The tenant whose prefixes and policies count
    #[arg(long, value_name = "NAME", default_value = DEFAULT_TENANT)]
    tenant: String,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// What became of a URL.
#[derive(Serialize)]
struct Warmed<'a> {
    url: &'a str,
    sha256: String,
    /// It was on disk already.
    kept: bool,
    ms: u128,
}

impl WarmCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let file = self.config.as_deref().map(read_config).transpose()?;
        let settings = Settings::of(self.over(file.unwrap_or_default()))?;
        if settings.cache.is_none() {
            return Err(
                Failure::usage("no cache directory, so nothing would be kept")
                    .hint("name it with --cache-dir, or as cache-dir in the configuration"),
            );
        }
        // No token is opened here.
        let config = settings.config(Keyring::generate(None), Revocations::in_memory());
        block_on(async {
            let host = Host::new(config)
                .map_err(|error| Failure::usage(format!("cannot start: {}", chain(&error))))?;
            self.warm(&host).await
        })
    }

    fn over(&self, mut file: ConfigFile) -> ConfigFile {
        file.cache_dir = self.cache_dir.clone().or(file.cache_dir);
        if !self.allow_code.is_empty() {
            file.allow_code.clone_from(&self.allow_code);
        }
        file
    }

    /// One after the other: a compiler has all processors anyway.
    async fn warm(&self, host: &Host) -> Result<(), Failure> {
        let (mut failed, mut warmed) = (0_usize, Vec::new());
        for text in &self.urls {
            let (url, _) = locate(text)?;
            let (started, before) = (Instant::now(), host.loads());
            match host.warm(&url, None, &self.tenant).await {
                Ok(digest) => {
                    print(self.line(&Warmed {
                        url: &url,
                        sha256: hex(&digest),
                        kept: loaded(host.loads()) > loaded(before),
                        ms: started.elapsed().as_millis(),
                    }))?;
                    warmed.push((text, digest));
                }
                Err(error) => {
                    eprintln!("webtask: {text}: {}", chain(&error));
                    failed += 1;
                }
            }
        }
        // In the end, when those that came later may have driven it out.
        for (text, digest) in warmed {
            if !host.is_on_disk(&digest) {
                eprintln!(
                    "webtask: {text}: it is compiled, and not kept: the directory cannot be written, or holds cache-disk-bytes"
                );
                failed += 1;
            }
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::refused(format!(
                "{failed} of {} are not in the cache",
                self.urls.len()
            ))),
        }
    }

    fn line(&self, warmed: &Warmed<'_>) -> String {
        match (self.json, serde_json::to_string(warmed)) {
            (true, Ok(line)) => line + "\n",
            _ => {
                let Warmed {
                    url,
                    sha256,
                    kept,
                    ms,
                } = warmed;
                let how = if *kept { "was there" } else { "compiled" };
                format!("{sha256}  {how:<9}  {ms:>5} ms  {url}\n")
            }
        }
    }
}

fn loaded(loads: Loads) -> u64 {
    loads.loaded
}
