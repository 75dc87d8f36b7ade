//! The loop that accepts, from all sockets, and nothing else: whatever a peer makes one wait for happens in a
//! task of its connection.

use std::{future::poll_fn, io, sync::Arc, task::Poll, time::Duration};

use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Shared, connection,
    listen::{Accepted, Listener},
    peers::Peers,
};

/// What `accept` waits after an error such as EMFILE: long enough for descriptors to come free.
const BACK_OFF: Duration = Duration::from_millis(100);
/// One line for so many of these errors: ten in a second come as long as descriptors are out.
const TOLD: u64 = 50;

/// The connections of a server, which end with it.
pub(super) struct Connections {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    peers: Peers,
    tasks: JoinSet<()>,
}

impl Connections {
    pub(super) fn new(shared: Arc<Shared>, places: usize) -> Self {
        Self {
            peers: Peers::new(shared.host.limits().connections_per_address),
            shared,
            places: Arc::new(Semaphore::new(places)),
            tasks: JoinSet::new(),
        }
    }

    /// Accepts from all `listeners` until `stop` is ready.
    pub(super) async fn accept(
        &mut self,
        listeners: Vec<Listener>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let (mut turn, mut failed) = (0, 0_u64);
        loop {
            // Without a place for it, a connection waits in the kernel's queue.
            let place = tokio::select! {
                place = self.places.clone().acquire_owned() => place,
                () = &mut stop => return,
            };
            let accepted = loop {
                tokio::select! {
                    accepted = next(&listeners, &mut turn) => break accepted,
                    Some(_) = self.tasks.join_next() => {}
                    () = &mut stop => return,
                }
            };
            let Accepted { stream, peer } = match accepted {
                Ok(accepted) => accepted,
                // That one connection is gone already.
                Err(error) if of_one_connection(&error) => continue,
                Err(error) => {
                    if failed % TOLD == 0 {
                        tracing::warn!(%error, "accept failed; trying again");
                    }
                    failed = failed.wrapping_add(1);
                    tokio::select! {
                        () = tokio::time::sleep(BACK_OFF) => continue,
                        () = &mut stop => return,
                    }
                }
            };
            let Some(counted) = self.peers.enter(peer) else {
                tracing::debug!(?peer, "closed: the limit connections-per-address");
                continue;
            };
            let shared = self.shared.clone();
            let open = shared.host.connected();
            self.tasks.spawn(async move {
                connection::serve(stream, &shared).await;
                drop((counted, open, place));
            });
        }
    }

    /// Ready when all have ended.
    pub(super) async fn finished(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The next connection of any listener; each has its turn.
async fn next(listeners: &[Listener], turn: &mut usize) -> io::Result<Accepted> {
    poll_fn(|cx| {
        let in_turn = listeners.iter().enumerate().cycle().skip(*turn);
        for (index, listener) in in_turn.take(listeners.len()) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                *turn = index
                    .saturating_add(1)
                    .checked_rem(listeners.len())
                    .unwrap_or(0);
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

fn of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
