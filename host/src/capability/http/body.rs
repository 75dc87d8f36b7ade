//! Bodies of outbound calls: counted, and bounded in bytes and in the time between them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};
use wasmtime_wasi_http::{Error, WasiBody};

use super::reason::Reason;
use crate::{capability::log::GuestLog, deadline, egress::Answer, meter::Spent, text::chain};

/// What the bodies of one call count together with those of the other calls of its invocation.
#[derive(Clone)]
pub(super) struct Tally {
    pub(super) spent: Arc<Spent>,
    /// Bytes of all bodies.
    pub(super) most: u64,
    pub(super) log: GuestLog,
    /// Whether this call was cut for having no bytes left.
    pub(super) cut: Arc<AtomicBool>,
}

impl Tally {
    /// Counts by `count`; whether the invocation may go on.
    fn fits(&self, size: usize, count: impl FnOnce(&Spent, u64)) -> bool {
        count(&self.spent, size as u64);
        let used = self
            .spent
            .out_sent()
            .saturating_add(self.spent.out_received());
        let fits = used <= self.most;
        if !fits && !self.cut.swap(true, Ordering::Relaxed) {
            self.denied(Reason::BytesUsedUp, "outbound call cut: the bodies of the invocation's calls are larger than its limit outbound-total");
        }
        fits
    }

    fn denied(&self, reason: Reason, text: &str) {
        reason.tell(&self.log, text);
    }
}

/// The body of an outbound request.
pub(super) struct SentBody {
    inner: WasiBody,
    tally: Tally,
}

impl SentBody {
    pub(super) fn new(inner: WasiBody, tally: Tally) -> Self {
        Self { inner, tally }
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)).transpose()? else {
            return Poll::Ready(None);
        };
        let size = frame.data_ref().map_or(0, Bytes::len);
        if self.tally.fits(size, Spent::count_out_sent) {
            return Poll::Ready(Some(Ok(frame)));
        }
        Poll::Ready(Some(Err(Box::new(Error::HttpRequestBodySize(None)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of an outbound response.
pub(super) struct OutboundBody {
    inner: Answer,
    tally: Tally,
    /// Bytes of this one.
    left: u64,
    between: Duration,
    stalled: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl OutboundBody {
    /// `left` bytes at most, with at most `between` from one frame to the next.
    pub(super) fn new(
        inner: Answer,
        tally: Tally,
        left: u64,
        between: Duration,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            inner,
            tally,
            left,
            between,
            stalled: Box::pin(tokio::time::sleep(between)),
            _place: place,
        }
    }

    fn count(&mut self, size: usize) -> Result<(), Error> {
        if !self.tally.fits(size, Spent::count_out_received) {
            return Err(Reason::BytesUsedUp.error());
        }
        let Some(left) = self.left.checked_sub(size as u64) else {
            return Err(self.cut(
                Reason::ResponseTooLarge,
                "the response is larger than the limit outbound-bytes",
            ));
        };
        self.left = left;
        Ok(())
    }

    fn cut(&self, reason: Reason, text: &str) -> Error {
        self.tally
            .denied(reason, &format!("outbound call cut: {text}"));
        reason.error()
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
            let text = format!("the origin sent nothing for {:?}", this.between);
            return Poll::Ready(Some(Err(this.cut(Reason::ResponseTimeout, &text))));
        };
        this.stalled
            .as_mut()
            .reset(deadline::after(Instant::now(), this.between));
        Poll::Ready(match frame {
            None => None,
            Some(Ok(frame)) => {
                let size = frame.data_ref().map_or(0, Bytes::len);
                Some(this.count(size).map(|()| frame))
            }
            Some(Err(error)) => Some(Err(this.cut(Reason::of_http(&error), &chain(&error)))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
