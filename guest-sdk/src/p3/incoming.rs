//! A body that comes in: of the request, or of a response to an outbound request.
use super::bindings::wasi::http::types::{ErrorCode, Method, Request, Response, Scheme};
use super::bindings::wit_future;
use super::{Passing, Sink, Trailers};
use crate::body::{Pending, Pieces};
use crate::{Body, Error, SendError};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use std::mem;
use std::pin::Pin;
use std::task::Poll;
use wit_bindgen::rt::async_support::{StreamReader, StreamResult};

/// The most that is read at once.
const CHUNK: u64 = 64 * 1024;

/// A request that came in and was not read yet.
pub(crate) struct Inbound(Request);

impl Inbound {
    pub(crate) fn new(request: Request) -> Self {
        Self(request)
    }

    pub(crate) fn method(&self) -> Method {
        self.0.get_method()
    }

    pub(crate) fn scheme(&self) -> Option<Scheme> {
        self.0.get_scheme()
    }

    pub(crate) fn authority(&self) -> Option<String> {
        self.0.get_authority()
    }

    /// Path and query.
    pub(crate) fn target(&self) -> Option<String> {
        self.0.get_path_with_query()
    }

    pub(crate) fn fields(&self) -> Vec<(String, Vec<u8>)> {
        self.0.get_headers().copy_all()
    }

    pub(crate) fn field(&self, name: &str) -> Vec<Vec<u8>> {
        self.0.get_headers().get(name)
    }

    pub(crate) fn into_body(self) -> Body {
        Body::pieces(Incoming::new(Source::Request(self.0)))
    }
}

pub(crate) struct Incoming {
    state: State,
    response: bool,
    len: Option<u64>,
}

pub(crate) enum Source {
    Request(Request),
    Response(Response),
}

enum State {
    /// The stream is made at first use: a handler that does not read the body pays nothing for it.
    Unread(Source),
    Open(Open),
    /// A read that is under way. Kept here and not in the future of `chunk`: if that is dropped, the bytes
    /// are not.
    Reading(Reading),
    Ended,
}

struct Open {
    stream: StreamReader<u8>,
    trailers: Trailers,
}

type Reading = Pin<Box<dyn Future<Output = Result<(Vec<u8>, Open), End>>>>;

/// How the body ended.
type End = Option<ErrorCode>;

impl Source {
    fn open(self) -> Open {
        // Nothing to complain of: what is wrong with a body, its reader answers with a status.
        let (_, result) = wit_future::new(|| Ok(()));
        let (stream, trailers) = match self {
            Self::Request(request) => Request::consume_body(request, result),
            Self::Response(response) => Response::consume_body(response, result),
        };
        Open { stream, trailers }
    }
}

impl Open {
    /// The next bytes, at least one and at most `most`.
    async fn read(mut self, most: usize) -> Result<(Vec<u8>, Self), End> {
        loop {
            let (status, bytes) = self.stream.read(Vec::with_capacity(most)).await;
            if !bytes.is_empty() {
                return Ok((bytes, self));
            }
            if status == StreamResult::Dropped {
                // Only now is it known whether the stream ended or broke.
                drop(self.stream);
                return Err(self.trailers.await.err());
            }
        }
    }
}

impl Incoming {
    pub(crate) fn new(source: Source) -> Self {
        let fields = match &source {
            Source::Request(request) => request.get_headers(),
            Source::Response(response) => response.get_headers(),
        };
        let mut values = fields.get(CONTENT_LENGTH.as_str());
        // A child, to be dropped before its parent is consumed.
        drop(fields);
        let len = values.pop();
        Self {
            response: matches!(source, Source::Response(_)),
            state: State::Unread(source),
            len: len.and_then(|len| std::str::from_utf8(&len).ok()?.parse().ok()),
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let most = self.len.map_or(CHUNK, |len| len.clamp(1, CHUNK));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let read = std::future::poll_fn(|cx| {
            let mut reading: Reading = match mem::replace(&mut self.state, State::Ended) {
                State::Unread(source) => Box::pin(source.open().read(most)),
                State::Open(open) => Box::pin(open.read(most)),
                State::Reading(reading) => reading,
                State::Ended => return Poll::Ready(Err(None)),
            };
            let polled = reading.as_mut().poll(cx);
            if polled.is_pending() {
                self.state = State::Reading(reading);
            }
            polled
        });
        match read.await {
            Ok((bytes, open)) => {
                self.state = State::Open(open);
                self.len = self.len.map(|len| len.saturating_sub(bytes.len() as u64));
                Ok(Some(bytes.into()))
            }
            Err(None) => {
                self.len = Some(0);
                Ok(None)
            }
            Err(Some(code)) => Err(self.failed(code)),
        }
    }

    fn failed(&self, code: ErrorCode) -> Error {
        let cause = SendError::from(code);
        match self.response {
            true => Error::bad_gateway("").with_source(cause),
            false => Error::bad_request("the request body broke off").with_source(cause),
        }
    }
}

impl Pieces for Incoming {
    fn len(&self) -> Option<u64> {
        self.len
    }

    fn is_response(&self) -> bool {
        self.response
    }

    fn chunk(&mut self) -> Pending<'_, Result<Option<Bytes>, Error>> {
        Box::pin(self.next())
    }

    /// The stream itself, to be passed on inside the host: the bytes never enter this component's memory.
    /// Not where a read is under way, or over.
    fn pass_on<'a>(&'a mut self, (): &'a Sink) -> Option<Passing<'a>> {
        let open = match mem::replace(&mut self.state, State::Ended) {
            State::Unread(source) => source.open(),
            State::Open(open) => open,
            state @ (State::Reading(_) | State::Ended) => {
                self.state = state;
                return None;
            }
        };
        Some((open.stream, open.trailers, std::marker::PhantomData))
    }
}
