//! A running host in this process: its socket, its signals, its keyring.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use webtask_host::{Config, Host, Loads, StartError, chain, serve};

use super::{Failure, keys::read_keyring};

/// How long what runs may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(30);
/// How often the keyring's file is looked at.
const LOOK: Duration = Duration::from_secs(1);

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

/// Serves until a signal ends it; `ready` is called once with the address. The keyring is read again when
/// the file at `keys` changes, and on SIGHUP.
pub(super) async fn run(
    listener: TcpListener,
    config: Config,
    keys: Option<&Path>,
    ready: impl FnOnce(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for range in &config.private {
        tracing::warn!(%range, "addresses beyond the public internet are open to webtasks whose grants name them");
    }
    if let Some(policy) = &config.policy {
        tracing::info!(
            policy = policy.name(),
            "the platform's policy is in force: {}",
            policy.summary()
        );
    }
    let failed =
        |error: &dyn std::error::Error| Failure::usage(format!("cannot start: {}", chain(error)));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let mut hangup = signal(SignalKind::hangup()).map_err(|error| failed(&error))?;
    let host = Arc::new(Host::new(config).map_err(|error| {
        let failure = failed(&error);
        match error {
            StartError::Cache(_) => failure.hint(
                "--cache-dir takes a directory that is yours alone; for one that is, chmod 700",
            ),
            _ => failure,
        }
    })?);
    let counted = host.clone();
    let mut watched = keys.map(|keys| Watched::new(keys, host.clone()));
    ready(listener.local_addr().map_err(|error| failed(&error))?)?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = serve(listener, host, async { drop(stopped.await) }, DRAIN);
    let mut server = std::pin::pin!(server);
    let mut signalled =
        async || tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
    let reloading = async {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let asked = tokio::select! { _ = look.tick() => false, _ = hangup.recv() => true };
            if let Some(watched) = &mut watched {
                watched.look(asked);
            }
        }
    };
    tokio::select! {
        () = &mut server => return Ok(()),
        () = signalled() => drop(stop),
        () = reloading => {}
    }
    tracing::info!("stopping: no new connections, what runs may finish; once more to leave now");
    tokio::select! {
        () = server => {}
        () = signalled() => tracing::warn!("leaving at once"),
    }
    let Loads {
        compiled, loaded, ..
    } = counted.loads();
    tracing::info!(
        compiled,
        loaded,
        "stopped; components compiled and loaded from disk"
    );
    Ok(())
}

/// A keyring's file, and the host that uses its keys.
struct Watched<'a> {
    path: &'a Path,
    host: Arc<Host>,
    seen: Option<Stamp>,
}

/// What changes when a file is written or replaced.
type Stamp = (u64, u64, std::time::SystemTime);

impl<'a> Watched<'a> {
    fn new(path: &'a Path, host: Arc<Host>) -> Self {
        Self {
            path,
            host,
            seen: stamp(path),
        }
    }

    /// Takes the keys of the file if it changed, or if somebody `asked`. One that cannot be read leaves
    /// the old keys in force.
    fn look(&mut self, asked: bool) {
        let now = stamp(self.path);
        if !asked && now == self.seen {
            return;
        }
        self.seen = now;
        match read_keyring(self.path) {
            Ok(keyring) => {
                let keys: Vec<_> = keyring.kids().map(ToString::to_string).collect();
                self.host.replace_keyring(keyring);
                tracing::info!(keys = keys.join(","), "keyring read again");
            }
            Err(failure) => {
                tracing::error!(cause = %failure, "keyring not read; the old keys stay in force")
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.modified().ok()?))
}
