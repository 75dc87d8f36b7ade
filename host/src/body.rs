//! Bodies in and out: counted, bounded, and a response that ends only as well as its run did.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use wasmtime_wasi_http::{Error as WasiError, WasiBody};

use crate::{
    Error,
    admission::Place,
    invoke::{InvokeError, Run},
    logs::LogBody,
    record::Record,
};

/// The body of an answer: the host's own, a guest's, or a live log.
pub type HostBody = Either<Full<Bytes>, Either<ResponseBody, LogBody>>;

/// What a request's body did, for whoever answers and records.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: AtomicU64,
    pub(crate) too_large: AtomicBool,
}

/// The body of a request, bounded.
pub(crate) struct RequestBody {
    inner: Incoming,
    left: u64,
    received: Arc<Received>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, limit: u64, received: Arc<Received>) -> Self {
        Self {
            inner,
            left: limit,
            received,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let this = &mut *self;
        let Some(frame) = ready!(Pin::new(&mut this.inner).poll_frame(cx)).transpose()? else {
            return Poll::Ready(None);
        };
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        this.received.bytes.fetch_add(size, Ordering::Relaxed);
        let Some(left) = this.left.checked_sub(size) else {
            this.received.too_large.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err(WasiError::HttpRequestBodySize(None))));
        };
        this.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a guest's response. It keeps the run alive as long as it is read, and breaks where the
/// run failed: wasi-http ends the stream well even when the guest trapped in the middle.
pub struct ResponseBody {
    inner: WasiBody,
    run: Run,
    limit: u64,
    /// There until the body is dropped.
    record: Option<Record>,
    _reading: Place,
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl ResponseBody {
    /// `reading` is its place among the answers that are read, and free with it.
    pub(crate) fn new(
        inner: WasiBody,
        run: Run,
        limit: u64,
        record: Record,
        reading: Place,
    ) -> Self {
        Self {
            inner,
            run,
            limit,
            record: Some(record),
            _reading: reading,
        }
    }

    /// Counts what goes out; the sum so far.
    fn count(&mut self, frame: &Frame<Bytes>) -> u64 {
        let size = frame.data_ref().map_or(0, Bytes::len) as u64;
        self.record.as_mut().map_or(u64::MAX, |record| {
            record.sent = record.sent.saturating_add(size);
            record.sent
        })
    }

    fn broken(&mut self, error: Arc<InvokeError>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let error = Error::from(error);
        if let Some(record) = &mut self.record {
            record.failed(&error);
        }
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = loop {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                // hyper takes trailers for the end of the body, and the run may yet fail. Without the field
                // `trailer`, which no guest may set, they go nowhere over HTTP/1.1 anyway.
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => break other,
            }
        };
        match frame {
            Some(Ok(frame)) => {
                let sent = this.count(&frame);
                if sent > this.limit {
                    let limit = this.limit;
                    return this.broken(Arc::new(InvokeError::ResponseTooLarge { limit }));
                }
                // hyper drops a body of known length at its last byte: the end may never be asked for.
                match this.run.poll_ended(cx) {
                    Poll::Ready(Err(error)) => this.broken(error),
                    _ => Poll::Ready(Some(Ok(frame))),
                }
            }
            // The guest gave up its own body, or broke its own content-length.
            Some(Err(error)) => match this.run.poll_ended(cx) {
                // A run that failed breaks its body, too, and says why.
                Poll::Ready(Err(failed)) => this.broken(failed),
                _ => this.broken(Arc::new(InvokeError::Guest(error.to_string()))),
            },
            None => match ready!(this.run.poll_ended(cx)) {
                Ok(()) => {
                    this.record.iter_mut().for_each(Record::answered);
                    Poll::Ready(None)
                }
                Err(error) => this.broken(error),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    /// A caller that leaves ends the run. One that has the whole answer (all of a declared length, or a
    /// HEAD, 204 or 304) does not: what the guest does after its response goes on to its deadline.
    fn drop(&mut self) {
        let Some(mut record) = self.record.take().filter(Record::is_whole) else {
            return;
        };
        let mut run = std::mem::replace(&mut self.run, Run::Ended(Ok(())));
        if matches!(run, Run::Ended(_)) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                match std::future::poll_fn(|cx| run.poll_ended(cx)).await {
                    Ok(()) => record.answered(),
                    Err(error) => record.failed(&error.into()),
                }
            });
        }
    }
}
