//! Header fields and bodies that go out: the response, and outbound requests.
use crate::__bindings::wasi::http::types::{Fields, HeaderError, OutgoingBody};
use crate::__bindings::wasi::io::streams::{OutputStream, StreamError};
use crate::SendError;
use crate::executor::wait;
use crate::{Body, Error, body};
use http::{HeaderMap, HeaderValue, header};

/// Why a body was not sent to its end.
pub(crate) enum Failed {
    /// Whoever should read it has gone.
    HungUp,
    /// It could not be made, or read from where it came.
    Body(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Body(error)
    }
}

impl From<StreamError> for Failed {
    fn from(_: StreamError) -> Self {
        Self::HungUp
    }
}

/// The fields of a message with this body.
///
/// # Errors
/// Names the header that the host does not let a guest set.
pub(crate) fn fields(headers: &mut HeaderMap, body: &Body) -> Result<Fields, SendError> {
    if let Some(len) = body.len()
        && !headers.contains_key(header::CONTENT_LENGTH)
    {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    }
    let entry = |(name, value): (&header::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let list: Vec<_> = headers.iter().map(entry).collect();
    Fields::from_list(&list).map_err(|error| {
        let refused = |(name, value): &&(String, Vec<u8>)| Fields::new().append(name, value).is_err();
        let name = list.iter().find(refused).map_or("", |(name, _)| name);
        match error {
            HeaderError::Forbidden => SendError::header(name, ": the host does not let a guest set it"),
            HeaderError::InvalidSyntax | HeaderError::Immutable => SendError::header(name, ": not a valid name or value"),
        }
    })
}

/// Sends `body` and ends `out` as well as the body ended: a part is never ended like the whole.
pub(crate) async fn send(body: Body, out: OutgoingBody) -> Result<(), Error> {
    if !matches!(body.0, body::Kind::Empty) {
        let Ok(stream) = out.write() else {
            return Ok(());
        };
        match write(body, &stream).await {
            Ok(()) => {}
            // Dropping `out` unfinished breaks the message off.
            Err(Failed::HungUp) => return Ok(()),
            Err(Failed::Body(error)) => return Err(error),
        }
    }
    OutgoingBody::finish(out, None).map_err(|code| SendError::from(code).into())
}

async fn write(mut body: Body, out: &OutputStream) -> Result<(), Failed> {
    if let body::Kind::Incoming(incoming) = &mut body.0 {
        incoming.splice(out).await?;
    } else {
        while let Some(mut chunk) = body.chunk().await? {
            while !chunk.is_empty() {
                let permit = usize::try_from(permit(out).await?).unwrap_or(usize::MAX);
                out.write(&chunk.split_to(permit.min(chunk.len())))?;
            }
        }
    }
    out.flush().map_err(Failed::from)
}

/// Waits until `out` takes bytes, and says how many: at least one.
pub(crate) async fn permit(out: &OutputStream) -> Result<u64, StreamError> {
    loop {
        match out.check_write()? {
            0 => wait(out.subscribe()).await,
            permit => return Ok(permit),
        }
    }
}
