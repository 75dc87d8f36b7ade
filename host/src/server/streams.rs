//! The streams of one HTTP/2 connection: how many are open, since when none is, and whether their peers take
//! what they are given.
//!
//! The socket's time-out does not see a peer that reads all frames and opens no window. Each stream therefore
//! runs as a task that knows when its body last gave something: one that nobody took for too long is dropped,
//! which resets the stream. The rest of the connection goes on.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use crate::{HostBody, Limits, deadline};

/// Bytes of an answer that go to a stream at once: what h2 keeps for a peer that takes nothing, and what a peer
/// must take in the time `stall`.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// Of the stream that is polled.
    static GIVEN: Arc<Given>;
}

/// hyper's executor for the streams of one connection.
#[derive(Clone)]
pub(super) struct Streams(Arc<Inner>);

struct Inner {
    /// When the connection began; times are counted from here.
    began: Instant,
    open: AtomicUsize,
    /// Milliseconds after which no stream was open.
    quiet: AtomicU64,
    most: usize,
    stall: Duration,
}

impl Streams {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            began: Instant::now(),
            open: AtomicUsize::new(0),
            quiet: AtomicU64::new(0),
            // h2 counts a stream as closed once its peer reset it, before its task notices.
            most: (limits.streams as usize).saturating_mul(2),
            stall: limits.stall,
        }))
    }

    /// Ready once no stream was open for `limit`.
    pub(super) async fn idle(&self, limit: Duration) {
        let inner = &self.0;
        let asked = Instant::now();
        loop {
            let now = Instant::now();
            let end = match inner.open.load(Ordering::Acquire) {
                0 => {
                    let quiet = Duration::from_millis(inner.quiet.load(Ordering::Acquire));
                    deadline::after(asked.max(deadline::after(inner.began, quiet)), limit)
                }
                _ => deadline::after(now, limit),
            };
            if end <= now {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// An open stream, until it is dropped.
struct Open(Arc<Inner>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.quiet.store(millis(self.0.began), Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let before = self.0.open.fetch_add(1, Ordering::AcqRel);
        let open = Open(self.0.clone());
        if before >= self.0.most {
            // Dropped, and so reset: a peer that resets faster than tasks end gets no more of them.
            return;
        }
        let given = Arc::new(Given::new());
        tokio::spawn(async move {
            let stalled = given.stalled(open.0.stall);
            let stream = GIVEN.scope(given.clone(), stream);
            tokio::select! {
                () = stream => {}
                () = stalled => tracing::debug!("stream given up: its peer took nothing"),
            }
            drop(open);
        });
    }
}

/// When the body of a stream gave a piece that was not taken yet.
struct Given {
    began: Instant,
    /// Milliseconds, and one more; 0 while nothing waits to be taken.
    at: AtomicU64,
}

impl Given {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            at: AtomicU64::new(0),
        }
    }

    /// Whoever asks for more has taken what was given.
    fn taken(&self) {
        self.at.store(0, Ordering::Relaxed);
    }

    fn given(&self) {
        let now = millis(self.began).saturating_add(1);
        self.at.store(now, Ordering::Relaxed);
    }

    /// Ready once a piece was not taken for `limit`.
    async fn stalled(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let end = match self.at.load(Ordering::Relaxed).checked_sub(1) {
                Some(at) => deadline::after(
                    deadline::after(self.began, Duration::from_millis(at)),
                    limit,
                ),
                None => deadline::after(now, limit),
            };
            if end <= now {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// An answer in small pieces, which tells its stream when one was taken.
pub(super) struct Paced {
    inner: HostBody,
    /// Of the last frame.
    rest: Bytes,
}

impl Paced {
    pub(super) fn new(inner: HostBody) -> Self {
        let rest = Bytes::new();
        Self { inner, rest }
    }
}

/// How much of a frame goes next. hyper gives a whole piece to h2 for a window of one byte, and asks for the next
/// one then; but it keeps the next one until a window is open for all before it. The last byte of a frame
/// therefore goes alone: whoever asks for another frame has a window for all of this one, and nothing of an
/// answer that ended is left in h2 for a peer that opens none.
fn piece_of(length: usize) -> usize {
    match length {
        0 | 1 => length,
        _ => PIECE.min(length.saturating_sub(1)),
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        // Outside of a stream nobody watches.
        let _ = GIVEN.try_with(|given| given.taken());
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)?).map(Frame::into_data) {
                Some(Ok(data)) => this.rest = data,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            }
        }
        let piece = this.rest.split_to(piece_of(this.rest.len()));
        let _ = GIVEN.try_with(|given| given.given());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.inner.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use http_body_util::{BodyExt as _, Either, Full};

    use super::*;

    #[tokio::test]
    async fn an_answer_comes_in_pieces_and_its_last_byte_alone() {
        let whole: Bytes = (0..40_000_u32).map(|n| n as u8).collect();
        let mut body = Paced::new(Either::Left(Full::new(whole.clone())));
        let (mut sizes, mut got) = (Vec::new(), Vec::new());
        assert_eq!(body.size_hint().exact(), Some(40_000));
        while !body.is_end_stream() {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            got.extend_from_slice(&piece);
            sizes.push(piece.len());
            assert_eq!(body.size_hint().exact(), Some(40_000 - got.len() as u64));
        }
        assert_eq!(sizes, [PIECE, PIECE, 40_000 - 1 - 2 * PIECE, 1]);
        assert_eq!(got, whole);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_its_last_stream_on() {
        let streams = Streams::new(&Limits::default());
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        hyper::rt::Executor::execute(&streams, async { drop(ended.await) });
        let idle = tokio::spawn({
            let streams = streams.clone();
            async move { streams.idle(second * 10).await }
        });
        tokio::time::sleep(second * 25).await;
        drop(end);
        idle.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 35);
    }
}
