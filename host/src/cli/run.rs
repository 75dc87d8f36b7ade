//! A running host in this process: its sockets, its signals, the files that it reads again.

use std::{path::Path, sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use webtask_host::{Config, Host, Loads, StartError, chain};

use super::{Failure, keys::read_keyring, reload::Watched, sockets::Sockets};

/// How long the last spans may take to their collector.
const FLUSH: Duration = Duration::from_secs(5);
/// Open files that room is made for, at eight bytes each.
const FILES: u64 = 65_536;
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What people and service managers send.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ready when the end is asked for.
    async fn end(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => {}, _ = self.terminate.recv() => {} }
    }

    /// Looks at the files again and again, until the end is asked for.
    async fn end_while_looking(&mut self, files: &mut [Watched<'_>]) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            let asked = tokio::select! {
                _ = look.tick() => false,
                _ = self.hangup.recv() => true,
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
            };
            files.iter_mut().for_each(|watched| watched.look(asked));
        }
    }
}

/// Serves until a signal ends it; `ready` is called once, when all sockets are open. The keyring at `keys` and
/// the certificate are read again when their files change, and on SIGHUP.
pub(super) async fn run(
    sockets: Sockets,
    config: Config,
    keys: Option<&Path>,
    ready: impl FnOnce(&Sockets) -> Result<(), Failure>,
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
    let mut signals = Signals::new().map_err(|error| failed(&error))?;
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
    let mut files = watched(&sockets, keys, &host);
    ready(&sockets)?;
    notify(NotifyState::Ready);

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = sockets.server(host.clone());
    let server = async {
        server.serve(async { drop(stopped.await) }).await;
        host.flush(FLUSH).await;
    };
    let mut server = std::pin::pin!(server);
    tokio::select! {
        () = &mut server => return Ok(()),
        () = signals.end_while_looking(&mut files) => drop(stop),
    }
    notify(NotifyState::Stopping);
    tracing::info!("stopping: no new connections, what runs may finish; once more to leave now");
    tokio::select! {
        () = server => {}
        () = signals.end() => tracing::warn!("leaving at once"),
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

/// Has the system make its table of this process's files as large as it may become, up to [`FILES`]: where it grows under
/// load, one request waits ten milliseconds and more for it. Each connection is a file, and each component that was loaded
/// from the cache directory. For while there is one thread: with more the system waits as long here.
pub(super) fn make_room_for_files() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.current.unwrap_or(FILES).min(FILES).saturating_sub(1);
    let most = i32::try_from(most).unwrap_or_default();
    // Closed at once; the table stays.
    if let Err(error) = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), most) {
        tracing::debug!(%error, most, "no room for files was made");
    }
}

/// What is read again: the keyring, and the certificate if there is one.
fn watched<'a>(sockets: &Sockets, keys: Option<&'a Path>, host: &Arc<Host>) -> Vec<Watched<'a>> {
    let mut files = Vec::new();
    if let Some(keys) = keys {
        let host = host.clone();
        files.push(Watched::new("keyring", vec![keys.to_owned()], move || {
            let keyring = read_keyring(keys)?;
            let kids: Vec<_> = keyring.kids().map(ToString::to_string).collect();
            host.replace_keyring(keyring);
            Ok(kids.join(","))
        }));
    }
    if let Some(tls) = sockets.tls.clone() {
        let pair = tls.files().map(Path::to_owned).to_vec();
        files.push(Watched::new("certificate", pair, move || {
            let read = tls.reload();
            read.map_err(|error| Failure::refused(chain(&error)))?;
            let [certificate, _] = tls.files();
            Ok(certificate.display().to_string())
        }));
    }
    files
}

/// Tells the service manager, if there is one that wants to know.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager behind NOTIFY_SOCKET was not told");
    }
}
