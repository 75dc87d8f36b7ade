//! `Body`: the bytes of a request or a response, both ways, never more in memory than asked for.
use crate::Error;
use crate::stream::{Stream, Writer};
use crate::wasi::Incoming;
use bytes::{Bytes, BytesMut};
use std::fmt;

/// The body of a [`Request`](crate::Request) or a [`Response`](crate::Response).
///
/// Made from text or bytes with `into()`, from a value with `from_json`, piece by piece with
/// [`stream`](Body::stream); or one that came in, passed on as it is, which streams with back-pressure:
///
/// ```no_run
/// # use webtask::{Request, Response};
/// async fn echo(request: Request) -> Response {
///     Response::new(request.into_body())
/// }
/// ```
#[derive(Default)]
pub struct Body(pub(crate) Kind);

#[derive(Default)]
pub(crate) enum Kind {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Stream(Stream),
}

impl Body {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body that `write` writes piece by piece while it is being sent.
    ///
    /// It ends well when `write` returns `Ok`. If it returns an error, the error is logged and the
    /// connection broken, so that nobody takes the part for the whole.
    ///
    /// ```no_run
    /// # use webtask::Body;
    /// let body = Body::stream(async |writer| {
    ///     for line in ["one\n", "two\n"] {
    ///         writer.write(line).await;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn stream<F>(write: F) -> Self
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), Error> + 'static,
    {
        Self(Kind::Stream(Stream::new(write)))
    }

    /// The number of bytes still to come, if it is known.
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Full(bytes) => Some(bytes.len() as u64),
            Kind::Incoming(incoming) => incoming.len(),
            Kind::Stream(_) => None,
        }
    }

    /// Whether it is known that no byte is to come.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The next piece, of at least one byte and at most 64 KiB if it came in; `None` at the end.
    ///
    /// # Errors
    /// If the other side broke off, or the producer of a [`stream`](Body::stream) failed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match &mut self.0 {
            Kind::Empty => Ok(None),
            Kind::Full(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            Kind::Incoming(incoming) => incoming.chunk().await,
            Kind::Stream(stream) => stream.chunk().await,
        }
    }

    /// All bytes. Only the host bounds how many: prefer [`bytes_up_to`](Body::bytes_up_to) for what strangers send.
    ///
    /// # Errors
    /// As for [`chunk`](Body::chunk).
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.bytes_up_to(usize::MAX).await
    }

    /// All bytes, if there are no more than `max`.
    ///
    /// # Errors
    /// As for [`chunk`](Body::chunk); and for more than `max` bytes one that is answered with 413 if this is
    /// the body of a request, and with 502 if it is that of a response.
    pub async fn bytes_up_to(mut self, max: usize) -> Result<Bytes, Error> {
        let response = self.is_response();
        let too_large = || match response {
            true => Error::bad_gateway("").with_source("the response body is larger than allowed"),
            false => Error::new(http::StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
        };
        if self.len().is_some_and(|len| len > max as u64) {
            return Err(too_large());
        }
        let mut all = BytesMut::new();
        let mut only = Bytes::new();
        while let Some(chunk) = self.chunk().await? {
            if only.len() + all.len() + chunk.len() > max {
                return Err(too_large());
            }
            // Most bodies are one piece, which is handed on without a copy.
            if only.is_empty() && all.is_empty() {
                only = chunk;
                continue;
            }
            all.extend_from_slice(&std::mem::take(&mut only));
            all.extend_from_slice(&chunk);
        }
        Ok(if only.is_empty() { all.freeze() } else { only })
    }

    /// All bytes as text. Only the host bounds how many.
    ///
    /// # Errors
    /// As for [`chunk`](Body::chunk); and if it is not UTF-8, answered with 400 or, for the body of a response, 502.
    pub async fn text(self) -> Result<String, Error> {
        let response = self.is_response();
        String::from_utf8(self.bytes().await?.into()).map_err(|cause| match response {
            true => Error::bad_gateway("").with_source(cause),
            false => Error::bad_request("the body is not UTF-8").with_source(cause),
        })
    }

    /// The value that the body holds as JSON. Only the host bounds its size.
    ///
    /// # Errors
    /// As for [`chunk`](Body::chunk); and if it is not the JSON that `T` asks for: the body of a request is answered
    /// with 400 and what is wrong, that of a response with 502 and nothing.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let response = self.is_response();
        serde_json::from_slice(&self.bytes().await?).map_err(|cause| match response {
            true => Error::bad_gateway("").with_source(cause),
            false => Error::bad_request(format!("the body is not the JSON expected: {cause}")),
        })
    }

    /// A body that holds `value` as JSON. Does not set `content-type`.
    ///
    /// # Errors
    /// If `value` cannot be said in JSON, as a map whose keys are not text.
    #[cfg(feature = "json")]
    pub fn from_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(serde_json::to_vec(value)?.into())
    }

    fn is_response(&self) -> bool {
        matches!(&self.0, Kind::Incoming(incoming) if incoming.is_response())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Full(bytes))
    }
}

macro_rules! from {
    ($($type:ty)*) => { $(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Bytes::from(bytes).into()
            }
        }
    )* };
}
from! { &'static str &'static [u8] String Vec<u8> }

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::block_on;

    #[test]
    fn the_maximum_is_allowed_and_one_more_is_not() {
        assert!(block_on(Body::from("four").bytes_up_to(4)).is_ok());
        let error = block_on(Body::from("fives").bytes_up_to(4)).err();
        assert_eq!(error.map(|error| error.status().as_u16()), Some(413));
    }

    #[test]
    #[cfg(feature = "json")]
    fn json_goes_both_ways_and_says_what_is_wrong() {
        let body = Body::from_json(&[1, 2]).unwrap_or_default();
        assert_eq!(block_on(body.json::<Vec<u8>>()).ok(), Some(vec![1, 2]));
        let error = block_on(Body::from("{}").json::<Vec<u8>>()).err();
        let error = error.map(|error| (error.status().as_u16(), error.message().to_owned()));
        assert!(error.is_some_and(|(status, message)| status == 400 && message.contains("map")));
    }
}
