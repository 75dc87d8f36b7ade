//! Outbound HTTP of a guest: grant, then egress, then a bounded exchange. Every call passes here.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use super::{invocation::Invocation, log::GuestLog};
use crate::{
    egress::{ConnectError, Egress, Ranges, Target},
    rights::Rights,
    text::{chain, printable},
};

/// The most bytes that one write of a guest puts into a body.
const CHUNK: usize = 64 << 10;

/// A future that wasi-http drives beside the exchange.
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The outbound calls of one invocation.
pub(crate) struct Outbound {
    call: Call,
    calls_left: u64,
    concurrent: Arc<Semaphore>,
}

/// What one call needs of its invocation.
#[derive(Clone)]
struct Call {
    egress: Arc<Egress>,
    rights: Arc<Rights>,
    invocation: Arc<Invocation>,
    log: GuestLog,
}

impl Outbound {
    pub(crate) fn new(
        egress: Arc<Egress>,
        rights: Arc<Rights>,
        invocation: Arc<Invocation>,
        log: GuestLog,
    ) -> Self {
        let limits = &rights.limits;
        Self {
            calls_left: limits.calls,
            concurrent: Arc::new(Semaphore::new(limits.concurrent_calls)),
            call: Call {
                egress,
                rights,
                invocation,
                log,
            },
        }
    }

    /// Counts the call and takes a place among those under way.
    fn admit(&mut self) -> Result<OwnedSemaphorePermit, Error> {
        let log = &self.call.log;
        let Some(left) = self.calls_left.checked_sub(1) else {
            log.denied("outbound call refused: the invocation has used all its outbound calls (limit calls)");
            return Err(Error::ConnectionLimitReached);
        };
        self.calls_left = left;
        self.concurrent.clone().try_acquire_owned().map_err(|_| {
            log.denied("outbound call refused: too many at the same time (limit concurrent-calls)");
            Error::ConnectionLimitReached
        })
    }
}

impl WasiHttpHooks for Outbound {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // wasmtime calls this for WASI 0.2 and 0.3, requests and responses alike.
        Arc::new(is_forbidden)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        // Two of them wait for a peer that does not read: wasmtime's megabyte would be a lot of memory
        // for the connections that a host may have.
        CHUNK
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        // Counted first: refused calls cost the host as well.
        let admitted = self
            .admit()
            .and_then(|place| Ok((self.call.permit(&request)?, place)));
        let call = self.call.clone();
        Box::new(async move {
            let (target, place) = admitted?;
            call.exchange(&target, request, options.unwrap_or_default(), place)
                .await
        })
    }
}

impl Call {
    /// Where the request goes, if a grant allows it; else a line that says what would.
    fn permit(&self, request: &Request<WasiBody>) -> Result<Target, Error> {
        let target = Target::of(request.uri()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let (method, path) = (request.method().as_str(), request.uri().path());
        let (scheme, host, port) = (target.scheme, target.host(), target.port);
        // CONNECT and TRACE are no calls of an API, also where a grant says `*`.
        let a_call = !matches!(*request.method(), Method::CONNECT | Method::TRACE);
        let rights = &self.rights.token;
        if a_call && rights.allows_outbound(method, scheme, &host, port, path) {
            return Ok(target);
        }
        let url = format!("{}{}", target.origin(), printable(path, 256));
        self.log.denied(&format!("outbound call refused: no grant for {method} {url}; grant it with --allow '{method} {url}'"));
        Err(Error::HttpRequestDenied)
    }

    async fn exchange(
        self,
        target: &Target,
        mut request: Request<WasiBody>,
        options: RequestOptions,
        place: OwnedSemaphorePermit,
    ) -> Result<(Response<WasiBody>, Io), Error> {
        // The deadline of the invocation bounds every wait, whatever the guest asks for.
        let left = self.invocation.remaining();
        let bounded =
            |asked: Option<Duration>, most: Duration| asked.unwrap_or(most).min(most).min(left);
        let stream = self
            .egress
            .connect(
                target,
                // A grant of an address is its name: only a literal reaches an opened range.
                Ranges::Opened,
                bounded(options.connect_timeout, self.rights.limits.connect),
            )
            .await
            .map_err(|error| self.refused(error))?;
        let header_bytes = usize::try_from(self.rights.limits.header_bytes).unwrap_or(usize::MAX);
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(header_bytes.max(8 << 10))
            .handshake(TokioIo::new(stream))
            .await?;
        target
            .address(&mut request)
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        // Answered by nobody: the body follows at once.
        request.headers_mut().remove(header::EXPECT);
        let connection = tokio::spawn(connection);
        // Ends the connection when the invocation ends, also in the middle of an exchange.
        let guard = AbortOnDrop(connection.abort_handle());
        let response = tokio::time::timeout(
            bounded(options.first_byte_timeout, left),
            sender.send_request(request),
        )
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;
        let between = bounded(options.between_bytes_timeout, left);
        let body_bytes = self.rights.limits.outbound_bytes;
        let response = response.map(|inner| {
            OutboundBody {
                inner,
                left: body_bytes,
                between,
                stalled: Box::pin(tokio::time::sleep(between)),
                _place: place,
                _guard: guard,
            }
            .boxed_unsync()
        });
        Ok((response, Box::new(async { Ok(()) })))
    }

    /// The typed error that the guest sees; the author's log has the rest.
    fn refused(&self, error: ConnectError) -> Error {
        let hint = match &error {
            ConnectError::Address { address, .. } => {
                format!(
                    "; the platform can open it with --allow-private {address}, for grants that name the address itself"
                )
            }
            _ => String::new(),
        };
        self.log
            .denied(&format!("outbound call failed: {}{hint}", chain(&error)));
        match error {
            ConnectError::Address { .. } => Error::DestinationIpProhibited,
            ConnectError::Dns { .. } => Error::DnsError {
                rcode: None,
                info_code: None,
            },
            ConnectError::Refused { .. } => Error::ConnectionRefused,
            ConnectError::Timeout { .. } => Error::ConnectionTimeout,
            ConnectError::Tls { .. } => Error::TlsProtocolError,
            ConnectError::Uri => Error::HttpRequestUriInvalid,
        }
    }
}

/// Header fields that no guest may set and none gets to see: connection control, the host's own
/// `webtask-*`, and `forwarded`, by which a proxy vouches for where a request came from.
fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || matches!(*name, header::TE | header::TRAILER | header::FORWARDED)
        || name.as_str().starts_with("webtask-")
        || name.as_str().starts_with("proxy-")
}

struct AbortOnDrop(tokio::task::AbortHandle);
impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The body of an outbound response: bounded in bytes and in the time between them.
struct OutboundBody {
    inner: Incoming,
    left: u64,
    between: Duration,
    stalled: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
    _guard: AbortOnDrop,
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
