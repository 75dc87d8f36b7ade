//! `Server`: sockets in, `Host::handle` once a request, never an error out, and a good end.
//!
//! What one connection may hold of memory beside what its requests do, about: 80 KiB of what it sends (HTTP/1.1), or
//! 256 KiB of unread bodies, 64 KiB of head and 80 KiB for each stream that is answered (HTTP/2); with TLS as
//! much as 128 KiB more. The limits `connections` and `streams` bound how often.

mod accept;
mod connection;
mod hangup;
mod listen;
mod ops;
mod peers;
mod stall;
mod stream;
mod streams;
mod tls;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::Host;

pub use listen::{ListenAddress, ListenError, Listener};
pub use tls::{Tls, TlsError};

/// How often what is not kept any more is let go of.
const TIDY: Duration = Duration::from_secs(1);

/// How long what runs may go on after the end was asked for, if nothing else is said.
const DRAIN: Duration = Duration::from_secs(30);

/// Sockets that a host is served on, and how that ends.
#[derive(Debug)]
pub struct Server {
    host: Arc<Host>,
    listeners: Vec<Listener>,
    tls: Option<Arc<Tls>>,
    ops: Option<Listener>,
    drain: Duration,
    linger: Duration,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Serving,
    /// Still accepting, and not ready any more: balancers look elsewhere.
    Lingering,
    /// Nothing is accepted; what runs may finish.
    Draining,
}

/// What all connections share.
struct Shared {
    host: Arc<Host>,
    tls: Option<Arc<Tls>>,
    phase: watch::Receiver<Phase>,
}

impl Shared {
    /// Ready once connections are to end.
    async fn draining(&self) {
        let mut phase = self.phase.clone();
        if phase.wait_for(|now| *now == Phase::Draining).await.is_err() {
            // The server is gone, and this connection with it.
            std::future::pending::<()>().await;
        }
    }
}

impl Server {
    /// A server of `host` that listens nowhere yet and drains for 30 seconds at most.
    #[must_use]
    pub fn new(host: Arc<Host>) -> Self {
        Self {
            host,
            listeners: Vec::new(),
            tls: None,
            ops: None,
            drain: DRAIN,
            linger: Duration::ZERO,
        }
    }

    /// Serves on one more socket: HTTP/1.1, and HTTP/2 by prior knowledge or, with TLS, by ALPN.
    #[must_use]
    pub fn listen(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Speaks TLS on all TCP sockets. Unix sockets stay plain: whoever connects is on this machine.
    #[must_use]
    pub fn tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Answers `/healthz` and `/readyz` on this socket, in plain HTTP/1.1, and on no other.
    #[must_use]
    pub fn ops(mut self, listener: Listener) -> Self {
        self.ops = Some(listener);
        self
    }

    /// Gives what runs this long to finish at the end.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Goes on accepting for this long after the end was asked for, while `/readyz` already says no; not at
    /// all if nothing is said. For balancers that ask for readiness and know of no other way.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Serves until `shutdown` is ready; then stops accepting, tells all peers (`connection: close` over
    /// HTTP/1.1, GOAWAY over HTTP/2) and waits for what runs. Dropped, it ends everything at once.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let (phase, seen) = watch::channel(Phase::Serving);
        let host = self.host;
        // Until the very end, and so in a set of their own.
        let mut operations = JoinSet::new();
        if let Some(listener) = self.ops {
            operations.spawn(ops::serve(listener, seen.clone(), host.clone()));
        }
        let tidied = host.clone();
        operations.spawn(async move {
            let mut tidy = tokio::time::interval(TIDY);
            loop {
                tidy.tick().await;
                tidied.tidy().await;
            }
        });
        let shared = Arc::new(Shared {
            host: host.clone(),
            tls: self.tls,
            phase: seen,
        });
        let limits = host.limits();
        let places = limits.connections.min(Semaphore::MAX_PERMITS);
        let mut connections = accept::Connections::new(shared, places);
        let stop = async {
            shutdown.await;
            if !self.linger.is_zero() {
                phase.send_replace(Phase::Lingering);
                tokio::time::sleep(self.linger).await;
            }
        };
        // The listeners are closed, and their files removed, when this returns.
        connections.accept(self.listeners, stop).await;
        phase.send_replace(Phase::Draining);
        host.end_logs();
        // An invocation may go on after its response is out, and its connection gone.
        let finished = async {
            connections.finished().await;
            host.idle().await;
        };
        if tokio::time::timeout(self.drain, finished).await.is_err() {
            let drain = self.drain;
            tracing::warn!(
                ?drain,
                "requests were still under way after the time to drain; leaving"
            );
        }
    }
}
