//! Bodies that go out: of the response, and of outbound requests.
use super::bindings::wasi::http::types::OutgoingBody;
use super::bindings::wasi::io::streams::{OutputStream, StreamError};
use super::poll::wait;
use crate::{Body, Error, SendError, body};

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
