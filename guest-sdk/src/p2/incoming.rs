//! A body that comes in: of the request, or of a response to an outbound request.
use super::Late;
use super::bindings::wasi::http::types::{IncomingBody, IncomingRequest, IncomingResponse};
use super::bindings::wasi::http::types::{Method, Scheme};
use super::bindings::wasi::io::error as io;
use super::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use super::poll::wait;
use super::{Passing, Sink, outgoing};
use crate::body::{Pending, Pieces};
use crate::{Body, Error, SendError};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;

/// The most that is read at once. Two such pieces are what an echo holds in memory.
const CHUNK: u64 = 64 * 1024;

/// A request that came in and was not read yet.
pub(crate) struct Inbound(IncomingRequest);

impl Inbound {
    pub(crate) fn new(request: IncomingRequest) -> Self {
        Self(request)
    }

    pub(crate) fn method(&self) -> Method {
        self.0.method()
    }

    pub(crate) fn scheme(&self) -> Option<Scheme> {
        self.0.scheme()
    }

    pub(crate) fn authority(&self) -> Option<String> {
        self.0.authority()
    }

    /// Path and query.
    pub(crate) fn target(&self) -> Option<String> {
        self.0.path_with_query()
    }

    pub(crate) fn fields(&self) -> Vec<(String, Vec<u8>)> {
        self.0.headers().entries()
    }

    pub(crate) fn field(&self, name: &str) -> Vec<Vec<u8>> {
        self.0.headers().get(name)
    }

    pub(crate) fn into_body(self) -> Body {
        Body::pieces(Incoming::new(Source::Request(self.0)))
    }
}

/// Fields are dropped in this order, and WASI wants children dropped before their parents.
pub(crate) struct Incoming {
    stream: Option<InputStream>,
    body: Option<IncomingBody>,
    source: Source,
    len: Option<u64>,
}

pub(crate) enum Source {
    Request(IncomingRequest),
    Response(IncomingResponse),
}

impl Incoming {
    pub(crate) fn new(source: Source) -> Self {
        let fields = match &source {
            Source::Request(request) => request.headers(),
            Source::Response(response) => response.headers(),
        };
        let mut values = fields.get(CONTENT_LENGTH.as_str());
        let len = values.pop();
        Self {
            stream: None,
            body: None,
            source,
            len: len.and_then(|len| std::str::from_utf8(&len).ok()?.parse().ok()),
        }
    }

    /// The stream, made at first use: a handler that does not read the body pays nothing for it.
    fn open(&mut self) -> Result<&InputStream, Error> {
        if self.body.is_none() {
            self.body = match &self.source {
                Source::Request(request) => request.consume(),
                Source::Response(response) => response.consume(),
            }
            .ok();
            self.stream = self.body.as_ref().and_then(|body| body.stream().ok());
        }
        self.stream
            .as_ref()
            .ok_or_else(|| Error::from(SendError::protocol("the body is gone")))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let stream = self.open()?;
            match stream.read(CHUNK) {
                Ok(bytes) if bytes.is_empty() => wait(stream.subscribe()).await,
                Ok(bytes) => {
                    self.took(bytes.len() as u64);
                    return Ok(Some(bytes.into()));
                }
                Err(StreamError::Closed) => {
                    self.len = Some(0);
                    return Ok(None);
                }
                Err(StreamError::LastOperationFailed(error)) => return Err(self.failed(error)),
            }
        }
    }

    /// Moves everything to `out` inside the host: the bytes never enter this component's memory.
    async fn splice(&mut self, out: &OutputStream) -> Result<(), outgoing::Failed> {
        loop {
            let stream = self.open()?;
            let permit = outgoing::permit(out).await?;
            match out.splice(stream, permit) {
                Ok(0) => wait(stream.subscribe()).await,
                Ok(moved) => self.took(moved),
                // Which of the two streams it was, only the other one can say.
                Err(error) => {
                    out.check_write()?;
                    return match error {
                        StreamError::Closed => Ok(()),
                        StreamError::LastOperationFailed(error) => Err(self.failed(error).into()),
                    };
                }
            }
        }
    }

    fn took(&mut self, bytes: u64) {
        self.len = self.len.map(|len| len.saturating_sub(bytes));
    }

    fn failed(&self, cause: io::Error) -> Error {
        let cause = SendError::from(Late(cause));
        match self.is_response() {
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
        matches!(self.source, Source::Response(_))
    }

    fn chunk(&mut self) -> Pending<'_, Result<Option<Bytes>, Error>> {
        Box::pin(self.next())
    }

    fn pass_on<'a>(&'a mut self, to: &'a Sink) -> Option<Passing<'a>> {
        Some(Box::pin(self.splice(to)))
    }
}
