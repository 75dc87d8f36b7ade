//! Bodies that go out: of the response, and of outbound requests.
use super::Trailers;
use super::bindings::wasi::http::types::ErrorCode;
use super::bindings::{wit_future, wit_stream};
use crate::body::Kind;
use crate::{Body, Error};
use std::pin::Pin;
use wit_bindgen::rt::async_support::{StreamReader, StreamWriter};

/// A body as WASI takes it, and what is left to do.
pub(crate) struct Outgoing {
    pub(crate) contents: Option<StreamReader<u8>>,
    pub(crate) trailers: Trailers,
    /// Writes the body, if anything is to be written.
    pub(crate) writing: Option<Writing>,
}

pub(crate) type Writing = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

impl Outgoing {
    pub(crate) fn new(mut body: Body) -> Self {
        match &mut body.0 {
            Kind::Empty => {
                let (_, trailers) = wit_future::new(|| Ok(None));
                return Self {
                    contents: None,
                    trailers,
                    writing: None,
                };
            }
            Kind::Pieces(pieces) => {
                if let Some((contents, trailers, _)) = pieces.pass_on(&()) {
                    return Self {
                        contents: Some(contents),
                        trailers,
                        writing: None,
                    };
                }
            }
            Kind::Static(_) | Kind::Full(_) | Kind::Shared(_) => {}
        }
        let (mut to, contents) = wit_stream::new();
        // What is written if the writing is dropped, or traps: a part is never ended like the whole.
        let (end, trailers) = wit_future::new(|| Err(ErrorCode::InternalError(None)));
        let writing = async move {
            let written = write(body, &mut to).await;
            drop(to);
            match written {
                // Whoever does not want the end has gone.
                Ok(true) => drop(end.write(Ok(None)).await),
                Ok(false) => {}
                Err(error) => {
                    drop(end);
                    return Err(error);
                }
            }
            Ok(())
        };
        Self {
            contents: Some(contents),
            trailers,
            writing: Some(Box::pin(writing)),
        }
    }
}

/// Writes everything; `false` if whoever should read it has gone.
async fn write(mut body: Body, to: &mut StreamWriter<u8>) -> Result<bool, Error> {
    let pieces = match &mut body.0 {
        Kind::Empty => return Ok(true),
        Kind::Static(bytes) => return Ok(write_all(bytes.to_vec(), to).await),
        Kind::Full(bytes) => return Ok(write_all(std::mem::take(bytes), to).await),
        Kind::Shared(bytes) => return Ok(write_all(std::mem::take(bytes).into(), to).await),
        Kind::Pieces(pieces) => pieces,
    };
    while let Some(chunk) = pieces.chunk().await? {
        if !write_all(chunk.into(), to).await {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn write_all(bytes: Vec<u8>, to: &mut StreamWriter<u8>) -> bool {
    to.write_all(bytes).await.is_empty()
}
