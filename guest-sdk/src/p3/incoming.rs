//! A body that comes in: of the request, or of a response to an outbound request.
use super::Trailers;
use super::bindings::wasi::http::types::{ErrorCode, Request, Response};
use super::bindings::wit_future;
use crate::{Error, SendError};
use bytes::Bytes;
use http::{HeaderMap, header};
use std::mem;
use std::pin::Pin;
use std::task::Poll;
use wit_bindgen::rt::async_support::{StreamReader, StreamResult};

/// The most that is read at once.
const CHUNK: u64 = 64 * 1024;

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
    pub(crate) fn new(source: Source, headers: &HeaderMap) -> Self {
        let len = headers.get(header::CONTENT_LENGTH);
        Self {
            response: matches!(source, Source::Response(_)),
            state: State::Unread(source),
            len: len.and_then(|len| len.to_str().ok()?.parse().ok()),
        }
    }

    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    pub(crate) fn is_response(&self) -> bool {
        self.response
    }

    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
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

    /// The stream itself, to be passed on inside the host: the bytes never enter this component's memory.
    /// Not where a read is under way, or over.
    pub(crate) fn into_contents(self) -> Result<(StreamReader<u8>, Trailers), Self> {
        match self.state {
            State::Unread(source) => {
                let open = source.open();
                Ok((open.stream, open.trailers))
            }
            State::Open(open) => Ok((open.stream, open.trailers)),
            State::Reading(_) | State::Ended => Err(self),
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
