//! One connection to an origin: its handshake, the task that drives it, and when that ends.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{Stream, tls::Protocol};
use crate::deadline;

/// How long a connection may wait for its next call.
const IDLE: Duration = Duration::from_secs(30);
/// How long a connection takes new calls: its name may mean another address by then.
const LIFE: Duration = Duration::from_secs(300);
/// Exchanges on one HTTP/2 connection at the same time.
const STREAMS: usize = 100;
/// Bytes that an origin may send ahead of the reader, for one HTTP/2 stream and for all of a connection.
const WINDOW: (u32, u32) = (256 << 10, 1 << 20);
/// Bytes of one HTTP/2 stream that wait for an origin that does not read.
const SEND_BUFFER: usize = 64 << 10;
/// When a silent HTTP/2 origin is asked whether it is there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// The body of a request on its way to an origin.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// What an exchange and the task of its connection share.
pub(super) struct Connection {
    most: usize,
    born: Instant,
    uses: Mutex<Uses>,
    closed: Notify,
}

struct Uses {
    now: usize,
    /// When the last one ended.
    since: Instant,
    closed: bool,
}

/// Puts requests on a connection.
pub(super) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
}

impl Connection {
    fn new(most: usize) -> Self {
        let now = Instant::now();
        let uses = Uses {
            now: 1,
            since: now,
            closed: false,
        };
        Self {
            most,
            born: now,
            uses: Mutex::new(uses),
            closed: Notify::new(),
        }
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it will take an exchange now or later.
    pub(super) fn lives(&self) -> bool {
        !self.uses().closed && self.born.elapsed() < LIFE
    }

    /// Takes the connection for one more exchange, if it has room.
    pub(super) fn begin(&self) -> bool {
        let mut uses = self.uses();
        let free = !uses.closed && uses.now < self.most;
        uses.now = uses.now.saturating_add(usize::from(free));
        free
    }

    /// An exchange is over.
    pub(super) fn end(&self) {
        let mut uses = self.uses();
        uses.now = uses.now.saturating_sub(1);
        uses.since = Instant::now();
        if uses.closed {
            self.closed.notify_one();
        }
    }

    /// No further exchange; the socket closes when the last one is over.
    pub(super) fn close(&self) {
        self.uses().closed = true;
        self.closed.notify_one();
    }

    /// When the last exchange ended, if none is under way.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let uses = self.uses();
        (uses.now == 0).then_some(uses.since)
    }

    /// Waits until nobody uses the connection any more: it is closed, or was idle for too long.
    async fn over(&self) {
        loop {
            let look = {
                let mut uses = self.uses();
                let until = deadline::after(uses.since, IDLE);
                uses.closed |= uses.now == 0 && until <= Instant::now();
                match uses.now {
                    0 if uses.closed => return,
                    0 => until,
                    _ => deadline::after(Instant::now(), IDLE),
                }
            };
            tokio::select! {
                () = self.closed.notified() => {}
                () = tokio::time::sleep_until(look) => {}
            }
        }
    }
}

/// Speaks `protocol` over `stream`, for one exchange to begin with. `gone` is called when the connection
/// takes no more of them.
pub(super) async fn open(
    stream: Stream,
    protocol: Protocol,
    header_bytes: usize,
    gone: impl FnOnce(&Arc<Connection>) + Send + 'static,
) -> hyper::Result<(Arc<Connection>, Sender)> {
    let io = TokioIo::new(stream);
    match protocol {
        Protocol::Http1 => {
            let (sender, driver) = http1::Builder::new()
                .max_buf_size(header_bytes.max(8 << 10))
                .handshake(io)
                .await?;
            let connection = Arc::new(Connection::new(1));
            tokio::spawn(drive(connection.clone(), driver, gone, None));
            Ok((connection, Sender::Http1(sender)))
        }
        Protocol::Http2 => {
            let (stop, stopped) = watch::channel(());
            let (sender, driver) = http2::Builder::new(Tasks(stopped))
                .timer(TokioTimer::new())
                .keep_alive_interval(PING.0)
                .keep_alive_timeout(PING.1)
                .initial_stream_window_size(WINDOW.0)
                .initial_connection_window_size(WINDOW.1)
                .max_send_buf_size(SEND_BUFFER)
                .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
                .handshake(io)
                .await?;
            let connection = Arc::new(Connection::new(STREAMS));
            tokio::spawn(drive(connection.clone(), driver, gone, Some(stop)));
            Ok((connection, Sender::Http2(sender)))
        }
    }
}

/// Runs a connection to its end. An origin that says goodbye has the exchanges under way finished; then,
/// and when nobody uses the connection, all of it is dropped, `stop` included, which ends hyper's tasks.
async fn drive(
    connection: Arc<Connection>,
    driver: impl Future<Output = hyper::Result<()>>,
    gone: impl FnOnce(&Arc<Connection>),
    stop: Option<watch::Sender<()>>,
) {
    let ended = tokio::select! {
        ended = driver => {
            connection.close();
            Some(ended)
        }
        () = connection.over() => None,
    };
    gone(&connection);
    if let Some(ended) = ended {
        if let Err(error) = ended {
            tracing::debug!(%error, "an outbound connection ended");
        }
        connection.over().await;
    }
    drop(stop);
}

/// Runs what hyper spawns for one connection, until the other end of the channel is gone.
#[derive(Clone)]
struct Tasks(watch::Receiver<()>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let mut stopped = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task => {}
                _ = stopped.changed() => {}
            }
        });
    }
}

impl Sender {
    /// Waits until a connection that was kept can take a request.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
            Self::Http2(_) => Protocol::Http2,
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        }
    }
}

/// A request's body that says when all of it is gone: only then is its connection free again.
pub(super) struct Upload {
    pub(super) inner: RequestBody,
    pub(super) over: Arc<AtomicBool>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.inner.is_end_stream() {
            self.over.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_over_when_it_was_idle_for_too_long() {
        let connection = Connection::new(1);
        let early = tokio::time::timeout(IDLE * 10, connection.over()).await;
        assert!(early.is_err(), "in use");
        connection.end();
        let started = Instant::now();
        connection.over().await;
        assert_eq!(started.elapsed(), IDLE);
        assert!(!connection.begin() && !connection.lives());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_connection_is_over_with_its_last_exchange() {
        let connection = Arc::new(Connection::new(2));
        assert!(connection.begin() && !connection.begin());
        connection.close();
        connection.end();
        let over = tokio::time::timeout(Duration::from_millis(1), connection.over()).await;
        assert!(over.is_err(), "one is under way");
        connection.end();
        connection.over().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_takes_no_call_after_its_life() {
        let connection = Connection::new(1);
        assert!(connection.lives());
        tokio::time::advance(LIFE).await;
        assert!(!connection.lives());
    }
}
