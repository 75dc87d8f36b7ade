//! Bodies that go out: of the response, and of outbound requests.
use super::bindings::wasi::http::types::OutgoingBody;
use super::bindings::wasi::io::streams::{OutputStream, StreamError};
use super::poll::wait;
use crate::body::Kind;
use crate::{Body, Error, SendError};

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

/// The most that WASI takes in one call that waits.
const AT_ONCE: usize = 4096;

/// Sends the whole of a small `body` in one call of the host, which waits for it; any other as [`send`] does. For where
/// nothing else wants to run meanwhile.
pub(crate) async fn send_alone(body: Body, out: OutgoingBody) -> Result<(), Error> {
    let small = match &body.0 {
        Kind::Static(bytes) => Some(*bytes),
        Kind::Full(bytes) => Some(bytes.as_slice()),
        Kind::Shared(bytes) => Some(&bytes[..]),
        Kind::Empty | Kind::Pieces(_) => None,
    };
    match small.filter(|bytes| (1..=AT_ONCE).contains(&bytes.len())) {
        None => send(body, out).await,
        Some(bytes) => {
            let written = out.write().map(|to| to.blocking_write_and_flush(bytes));
            match written {
                Ok(Ok(())) => finish(out),
                // Whoever should read it has gone.
                _ => Ok(()),
            }
        }
    }
}

/// Sends `body` and ends `out` as well as the body ended: a part is never ended like the whole.
pub(crate) async fn send(body: Body, out: OutgoingBody) -> Result<(), Error> {
    if !matches!(body.0, Kind::Empty) {
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
    finish(out)
}

fn finish(out: OutgoingBody) -> Result<(), Error> {
    // What the code says is not worth the kilobytes that reading it costs every component.
    let wrong = "the host refused the end of the body: is `content-length` right?";
    OutgoingBody::finish(out, None).map_err(|_| SendError::protocol(wrong).into())
}

async fn write(mut body: Body, out: &OutputStream) -> Result<(), Failed> {
    match &mut body.0 {
        Kind::Empty => {}
        Kind::Static(bytes) => write_all(bytes, out).await?,
        Kind::Full(bytes) => write_all(bytes, out).await?,
        Kind::Shared(bytes) => write_all(bytes, out).await?,
        Kind::Pieces(pieces) => {
            if let Some(passing) = pieces.pass_on(out) {
                passing.await?;
                return out.flush().map_err(Failed::from);
            }
            while let Some(chunk) = pieces.chunk().await? {
                write_all(&chunk, out).await?;
            }
        }
    }
    out.flush().map_err(Failed::from)
}

async fn write_all(mut bytes: &[u8], out: &OutputStream) -> Result<(), Failed> {
    while !bytes.is_empty() {
        let permit = usize::try_from(permit(out).await?).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(permit.min(bytes.len()));
        out.write(now)?;
        bytes = later;
    }
    Ok(())
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
