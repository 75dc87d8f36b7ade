//! Bodies that go out: of the response, and of outbound requests.
use super::Trailers;
use super::bindings::wasi::http::types::ErrorCode;
use super::bindings::{wit_future, wit_stream};
use crate::{Body, Error, body};
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
        match body.0 {
            body::Kind::Empty => {
                let (_, trailers) = wit_future::new(|| Ok(None));
                return Self {
                    contents: None,
                    trailers,
                    writing: None,
                };
            }
            body::Kind::Incoming(incoming) => match incoming.into_contents() {
                Ok((contents, trailers)) => {
                    return Self {
                        contents: Some(contents),
                        trailers,
                        writing: None,
                    };
                }
                Err(incoming) => body = Body(body::Kind::Incoming(incoming)),
            },
            other => body = Body(other),
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
    while let Some(chunk) = body.chunk().await? {
        if !to.write_all(chunk.into()).await.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
