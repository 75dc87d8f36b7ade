//! `webtask serve`: the runtime, until a signal ends it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use webtask_host::{CodePrefix, Config, ConfigFile, Host, chain, serve};

use super::{Failure, block_on, keys::read_keyring, print};

/// How long what runs may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(30);

/// Serve webtask requests
///
/// Answers requests to /run and /run/... that carry a token, as `Authorization: Bearer wt1...` or as
/// `Webtask-Token: wt1...`. Prints the address when it is ready. The first SIGTERM or Ctrl-C stops
/// accepting and lets finish what runs, for 30 s at most; the second ends at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask serve --keys keys.toml --allow-code ./target/wasm32-wasip2/release
  webtask serve --keys keys.toml --allow-code https://code.example.com/webtasks/
  webtask serve --config webtask.toml

Set WEBTASK_LOG to debug, warn or off to see more or less on stderr.")]
pub(crate) struct ServeCommand {
    /// The keyring file (see `webtask keys generate`)
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: Option<PathBuf>,
    /// A configuration file, TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
            limits: file.limits,
            code: code_prefixes(if self.allow_code.is_empty() {
                file.allow_code
            } else {
                self.allow_code
            })?,
            private: private_ranges(if self.allow_private.is_empty() {
                file.allow_private
            } else {
                self.allow_private
            })?,
        };
        block_on(async {
            let listener = bind(&listen).await?;
            run(listener, config, |address| {
                print(format!("listening on http://{address}\n"))
            })
            .await
        })
    }
}

/// Listens on `address`.
pub(super) async fn bind(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::usage(format!("cannot listen on {address}: {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => failure.hint("another program has the port; choose another one with --listen, port 0 takes any free one"),
            std::io::ErrorKind::PermissionDenied => failure.hint("ports below 1024 need a privilege; choose a higher one with --listen"),
            _ => failure.hint("--listen takes an address and a port, such as 127.0.0.1:8080"),
        }
    })
}

/// Serves until a signal ends it; `ready` is called once with the address.
pub(super) async fn run(
    listener: TcpListener,
    config: Config,
    ready: impl FnOnce(std::net::SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for range in &config.private {
        tracing::warn!(%range, "addresses beyond the public internet are open to webtasks whose grants name them");
    }
    let failed =
        |error: &dyn std::error::Error| Failure::usage(format!("cannot start: {}", chain(error)));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let host = Host::new(config).map_err(|error| failed(&error))?;
    ready(listener.local_addr().map_err(|error| failed(&error))?)?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = serve(
        listener,
        Arc::new(host),
        async { drop(stopped.await) },
        DRAIN,
    );
    let mut server = std::pin::pin!(server);
    let mut signalled =
        async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
    tokio::select! {
        () = &mut server => return Ok(()),
        () = signalled() => drop(stop),
    }
    tracing::info!("stopping: no new connections, what runs may finish; once more to leave now");
    tokio::select! {
        () = server => {}
        () = signalled() => tracing::warn!("leaving at once"),
    }
    Ok(())
}

fn read_config(path: &std::path::Path) -> Result<ConfigFile, Failure> {
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
