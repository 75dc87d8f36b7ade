//! Connections kept for later calls: never for another token, target or purpose, and never too many.

use std::{
    collections::{HashMap, hash_map::Entry},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use webtask_token::LinkId;

use super::{
    Ranges, Stream, Target,
    connection::{Connection, Sender, open},
    tls::Protocol,
};

/// One in this many of the kept connections is the most that one owner has, whatever they lead to: nobody's
/// calls close those of everybody else.
const SHARE: usize = 8;

/// Who may use a connection, and for what. What differs in any of it shares none.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    /// The first link of the token: all that is derived from it acts for the same holder.
    pub owner: LinkId,
    /// Scheme, host and port. HTTP/2 connections are not used for other names of their certificate.
    pub target: Target,
    /// Which addresses were allowed when it was dialled.
    pub ranges: Ranges,
}

/// The connections of a process.
pub(super) struct Pool {
    shared: Arc<Shared>,
    header_bytes: usize,
}

struct Shared {
    most: usize,
    share: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: HashMap<Arc<Key>, Vec<Kept>>,
    /// How many of them each owner has, and all have.
    owned: HashMap<LinkId, usize>,
    count: usize,
}

/// A connection that takes calls: HTTP/1.1 only while it is idle, HTTP/2 always.
struct Kept {
    connection: Arc<Connection>,
    sender: Sender,
}

impl Pool {
    /// Keeps `most` connections in all, an eighth of them for one owner; heads of answers are bounded to `header_bytes`.
    pub(super) fn new(most: usize, header_bytes: usize) -> Self {
        let shared = Shared {
            most,
            share: most.div_ceil(SHARE),
            state: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            header_bytes,
        }
    }

    /// A kept connection for one exchange.
    pub(super) fn take(&self, key: &Key) -> Option<Lease> {
        let mut state = self.shared.state();
        state.remove_if(key, |kept| !kept.connection.lives());
        let (key, _) = state.kept.get_key_value(key)?;
        let key = key.clone();
        let list = state.kept.get_mut(&key)?;
        let at = list.iter().rposition(|kept| kept.connection.begin())?;
        let kept = list.get(at)?;
        let connection = kept.connection.clone();
        let sender = match &kept.sender {
            Sender::Http2(sender) => Sender::Http2(sender.clone()),
            Sender::Http1(_) => {
                let sender = list.remove(at).sender;
                state.removed(&key, 1);
                sender
            }
        };
        Some(Lease::new(&self.shared, key, connection, sender))
    }

    /// A new connection over `stream` for one exchange, to be kept after it.
    pub(super) async fn open(
        &self,
        key: &Key,
        stream: Stream,
        protocol: Protocol,
    ) -> hyper::Result<Lease> {
        let key = Arc::new(key.clone());
        let (pool, forgotten) = (Arc::downgrade(&self.shared), key.clone());
        let gone = move |connection: &Arc<Connection>| {
            if let Some(pool) = pool.upgrade() {
                pool.forget(&forgotten, connection);
            }
        };
        let (connection, sender) = open(stream, protocol, self.header_bytes, gone).await?;
        if let Sender::Http2(sender) = &sender {
            let sender = Sender::Http2(sender.clone());
            self.shared.keep(&key, connection.clone(), sender);
        }
        Ok(Lease::new(&self.shared, key, connection, sender))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection, in the place of the one that was idle for longest if there is no other place.
    fn keep(&self, key: &Arc<Key>, connection: Arc<Connection>, sender: Sender) {
        let mut state = self.state();
        if state.owned(key.owner) >= self.share {
            state.evict(Some(key.owner));
        }
        if state.count >= self.most {
            state.evict(None);
        }
        let full = state.count >= self.most || state.owned(key.owner) >= self.share;
        // What is not kept closes when its exchanges are over.
        if full || !connection.lives() {
            connection.close();
            return;
        }
        state.count = state.count.saturating_add(1);
        let owned = state.owned.entry(key.owner).or_default();
        *owned = owned.saturating_add(1);
        let kept = Kept { connection, sender };
        state.kept.entry(key.clone()).or_default().push(kept);
    }

    fn forget(&self, key: &Key, connection: &Arc<Connection>) {
        self.state()
            .remove_if(key, |kept| Arc::ptr_eq(&kept.connection, connection));
    }
}

impl State {
    fn owned(&self, owner: LinkId) -> usize {
        self.owned.get(&owner).copied().unwrap_or(0)
    }

    fn remove_if(&mut self, key: &Key, unwanted: impl Fn(&Kept) -> bool) {
        let Some(list) = self.kept.get_mut(key) else {
            return;
        };
        let before = list.len();
        list.retain(|kept| !unwanted(kept));
        let removed = before.saturating_sub(list.len());
        self.removed(key, removed);
    }

    fn removed(&mut self, key: &Key, number: usize) {
        self.count = self.count.saturating_sub(number);
        if let Entry::Occupied(mut owned) = self.owned.entry(key.owner) {
            let left = owned.get().saturating_sub(number);
            *owned.get_mut() = left;
            if left == 0 {
                owned.remove();
            }
        }
        if self.kept.get(key).is_some_and(Vec::is_empty) {
            self.kept.remove(key);
        }
    }

    /// Closes the connection that was idle for longest, of `owner` or of all.
    fn evict(&mut self, owner: Option<LinkId>) {
        let idle = |kept: &Kept| kept.connection.idle_since();
        let oldest = self
            .kept
            .iter()
            .filter(|(key, _)| owner.is_none_or(|owner| owner == key.owner))
            .flat_map(|(key, list)| list.iter().map(move |kept| (key, kept)))
            .filter_map(|(key, kept)| Some((idle(kept)?, key, &kept.connection)))
            .min_by_key(|(since, ..)| *since)
            .map(|(_, key, connection)| (key.clone(), connection.clone()));
        if let Some((key, connection)) = oldest {
            connection.close();
            self.remove_if(&key, |kept| Arc::ptr_eq(&kept.connection, &connection));
        }
    }
}

/// One exchange's hold on a connection. When it is dropped the connection is kept if request and answer
/// were whole, and closed if not; of HTTP/2, closed after the other exchanges on it.
pub(super) struct Lease {
    pool: Weak<Shared>,
    key: Arc<Key>,
    connection: Arc<Connection>,
    /// There until the lease is dropped.
    pub(super) sender: Option<Sender>,
    /// Whether all of the request is sent, or given up.
    pub(super) sent: Arc<AtomicBool>,
    answered: bool,
}

impl Lease {
    fn new(pool: &Arc<Shared>, key: Arc<Key>, connection: Arc<Connection>, sender: Sender) -> Self {
        Self {
            pool: Arc::downgrade(pool),
            key,
            connection,
            sender: Some(sender),
            sent: Arc::default(),
            answered: false,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let sent = self.sent.load(Ordering::Relaxed);
        match self.sender.take() {
            Some(Sender::Http1(sender)) if sent && self.answered => {
                self.connection.end();
                if let Some(pool) = self.pool.upgrade() {
                    let sender = Sender::Http1(sender);
                    pool.keep(&self.key, self.connection.clone(), sender);
                }
            }
            // Of an answer that was not read, hyper resets the stream; of a request that an origin does not
            // take, nobody would notice the end.
            Some(Sender::Http2(_)) if sent => self.connection.end(),
            _ => {
                self.connection.close();
                self.connection.end();
            }
        }
    }
}

/// The body of an origin's answer. The connection is free again at its end, and closed if it is dropped
/// before.
pub struct Answer {
    inner: Incoming,
    lease: Option<Lease>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl Answer {
    pub(super) fn new(inner: Incoming, lease: Lease) -> Self {
        let mut answer = Self {
            inner,
            lease: Some(lease),
        };
        answer.release_at_end();
        answer
    }

    fn release_at_end(&mut self) {
        if self.inner.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(mut lease) = self.lease.take() {
            lease.answered = true;
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            None => self.release(),
            Some(Ok(_)) => self.release_at_end(),
            Some(Err(_)) => drop(self.lease.take()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
