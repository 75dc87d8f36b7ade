//! The body of an outbound response: bounded in bytes and in the time between them.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};
use wasmtime_wasi_http::Error;

/// Ends a task when dropped.
pub(super) struct AbortOnDrop(pub(super) tokio::task::AbortHandle);
impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of an outbound response: bounded in bytes and in the time between them.
pub(super) struct OutboundBody {
    inner: Incoming,
    left: u64,
    between: Duration,
    stalled: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
    _guard: AbortOnDrop,
}

impl OutboundBody {
    /// `left` bytes at most, with at most `between` from one frame to the next.
    pub(super) fn new(
        inner: Incoming,
        left: u64,
        between: Duration,
        place: OwnedSemaphorePermit,
        guard: AbortOnDrop,
    ) -> Self {
        Self {
            inner,
            left,
            between,
            stalled: Box::pin(tokio::time::sleep(between)),
            _place: place,
            _guard: guard,
        }
    }
}

impl Body for OutboundBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.stalled.as_mut().poll(cx));
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        this.stalled.as_mut().reset(Instant::now() + this.between);
        let Some(frame) = frame.transpose()? else {
            return Poll::Ready(None);
        };
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        match this.left.checked_sub(size) {
            Some(left) => {
                this.left = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => Poll::Ready(Some(Err(Error::HttpResponseBodySize(None)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
