//! Header fields and bodies that go out: the response, and outbound requests.
use crate::__bindings::wasi::http::types::{Fields, HeaderError, OutgoingBody};
use crate::__bindings::wasi::io::streams::{OutputStream, StreamError};
use crate::SendError;
use crate::executor::wait;
use crate::{Body, Error, body};
use http::{HeaderMap, header};

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
pub(crate) fn fields(headers: &HeaderMap, body: &Body) -> Result<Fields, SendError> {
    let fields = Fields::new();
    let append = |name: &str, value: &[u8]| {
        fields.append(name, value).map_err(|error| match error {
            HeaderError::Forbidden => {
                SendError::header(name, ": the host does not let a guest set it")
            }
            HeaderError::InvalidSyntax | HeaderError::Immutable => {
                SendError::header(name, ": not a valid name or value")
            }
        })
    };
    let mut len = body.len();
    for (name, value) in headers {
        if *name == header::CONTENT_LENGTH {
            len = None;
        }
        append(name.as_str(), value.as_bytes())?;
    }
    if let Some(len) = len {
        append(header::CONTENT_LENGTH.as_str(), len.to_string().as_bytes())?;
    }
    Ok(fields)
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
    // What the code says is not worth the kilobytes that reading it costs every component.
    let wrong = "the host refused the end of the body: is `content-length` right?";
    OutgoingBody::finish(out, None).map_err(|_| SendError::protocol(wrong).into())
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
