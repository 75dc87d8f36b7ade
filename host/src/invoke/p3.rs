//! The call of a component of WASI 0.3: `wasi:http/handler`.
//!
//! A task of 0.3 goes on after it returned its response: it writes the body then, and may do more. The run
//! is over when all tasks have ended and the body has.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{Request, Response, Uri, header, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use wasmtime::{Store, format_err};
use wasmtime_wasi_http::{
    Error, WasiBody, WasiHttpView as _,
    p3::{self, bindings::ServicePre},
};

use super::Head;
use crate::{body::RequestBody, ctx::Ctx, phases::Phase};

/// Frames that are taken from a guest which has ended before its reader wants them. A guest that waits for
/// its writes, as all do, leaves one and the end.
const AHEAD: usize = 2;

/// Calls the handler, and returns when all of its tasks have ended, and the body of its response.
pub(super) async fn call(
    pre: &ServicePre<Ctx>,
    store: &mut Store<Ctx>,
    request: Request<RequestBody>,
    head: Head,
) -> wasmtime::Result<()> {
    let service = pre.instantiate_async(&mut *store).await?;
    store.data().spent.phases.begin(Phase::Run);
    let (request, _) = p3::Request::from_http(store.data_mut().http().hooks, absolute(request)?);
    store
        .run_concurrent(async move |store| {
            let response = match service.handle(store, request).await? {
                Ok(response) => response,
                Err(code) => {
                    let _ = head.send(Err(code.to_string()));
                    return Ok(());
                }
            };
            let (told, sent) = oneshot::channel();
            // Whoever drops the sender has nothing to complain of.
            let sent = async { sent.await.unwrap_or(Ok(())) };
            let response = store.with(|store| response.into_http(store, sent))?;
            let (head_parts, body) = response.into_parts();
            let (reader, writer) = share(body, told);
            let _ = head.send(Ok(Response::from_parts(head_parts, reader.boxed_unsync())));
            std::future::poll_fn(|cx| store.poll_no_interesting_tasks(cx)).await;
            writer.finished().await;
            Ok(())
        })
        .await?
}

/// The request with a whole URL, as WASI 0.2 makes it: the scheme is that of the connection, the authority
/// that of the field `host`.
fn absolute(mut request: Request<RequestBody>) -> wasmtime::Result<Request<RequestBody>> {
    let mut parts = request.uri().clone().into_parts();
    if parts.authority.is_none() {
        let host = request.headers().get(header::HOST);
        let host = host.ok_or_else(|| format_err!("a request without host and authority"))?;
        parts.authority = Some(host.as_bytes().try_into()?);
    }
    parts.scheme = Some(super::scheme(&request));
    parts
        .path_and_query
        .get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(request)
}

/// A response's body between its reader and its run.
///
/// While the guest lives, its body is polled by the reader alone. When all tasks have ended, the run takes
/// what is left: the end of the stream is worth something only while the store is there, because a store
/// that goes ends the streams of a guest well that broke off.
struct Shared {
    inner: Option<WasiBody>,
    /// Taken by the run, for the reader.
    ahead: VecDeque<Result<Frame<Bytes>, Error>>,
    /// The run polls `inner`, and the reader must not.
    taken: bool,
    ended: bool,
    /// Bytes that the reader has yet to get, if the guest declared how many there are. Nothing else says so:
    /// what has ended early may have broken.
    left: Option<u64>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The run's side.
struct Writer(Arc<Mutex<Shared>>);

/// The reader's side.
struct Reader {
    shared: Arc<Mutex<Shared>>,
    /// Tells the guest what became of its response.
    told: Option<oneshot::Sender<Result<(), Error>>>,
    begun: bool,
}

fn share(body: WasiBody, told: oneshot::Sender<Result<(), Error>>) -> (Reader, Writer) {
    let shared = Arc::new(Mutex::new(Shared {
        left: body.size_hint().exact(),
        inner: Some(body),
        ahead: VecDeque::new(),
        taken: false,
        ended: false,
        reader: None,
        writer: None,
    }));
    let writer = Writer(shared.clone());
    let reader = Reader {
        shared,
        told: Some(told),
        begun: false,
    };
    (reader, writer)
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.ended = true;
            self.inner = None;
        }
        Poll::Ready(frame)
    }
}

impl Writer {
    /// Waits until the body has ended, or nobody wants it.
    async fn finished(&self) {
        lock(&self.0).taken = true;
        std::future::poll_fn(|cx| {
            let mut shared = lock(&self.0);
            let before = shared.ahead.len();
            while !shared.ended && shared.inner.is_some() && shared.ahead.len() < AHEAD {
                match shared.poll_inner(cx) {
                    Poll::Ready(Some(frame)) => shared.ahead.push_back(frame),
                    Poll::Ready(None) | Poll::Pending => break,
                }
            }
            if (shared.ended || shared.ahead.len() > before)
                && let Some(reader) = shared.reader.take()
            {
                reader.wake();
            }
            if shared.ended || shared.inner.is_none() {
                return Poll::Ready(());
            }
            shared.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Writer {
    /// The run is over, perhaps in the middle: what is left is the reader's.
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.taken = false;
        if let Some(reader) = shared.reader.take() {
            reader.wake();
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.begun = true;
        let mut shared = lock(&self.shared);
        let frame = if let Some(frame) = shared.ahead.pop_front() {
            if let Some(writer) = shared.writer.take() {
                writer.wake();
            }
            Poll::Ready(Some(frame))
        } else if shared.ended {
            Poll::Ready(None)
        } else if shared.taken {
            Poll::Pending
        } else {
            shared.poll_inner(cx)
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map_or(0, Bytes::len) as u64;
                shared.left = shared.left.map(|left| left.saturating_sub(size));
            }
            Poll::Ready(_) => {}
            Poll::Pending => shared.reader = Some(cx.waker().clone()),
        }
        drop(shared);
        if let Poll::Ready(None) = frame
            && let Some(told) = self.told.take()
        {
            let _ = told.send(Ok(()));
        }
        frame
    }

    fn size_hint(&self) -> SizeHint {
        let left = lock(&self.shared).left;
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Reader {
    /// hyper drops a body of known length at its last byte, and reads none for a HEAD: both are sent. All
    /// else is a caller that left.
    fn drop(&mut self) {
        let whole = !self.begun || self.size_hint().exact() == Some(0);
        if let Some(told) = self.told.take() {
            let _ = told.send(if whole {
                Ok(())
            } else {
                Err(Error::ConnectionTerminated)
            });
        }
        let mut shared = lock(&self.shared);
        shared.inner = None;
        if let Some(writer) = shared.writer.take() {
            writer.wake();
        }
    }
}
