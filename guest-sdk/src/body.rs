//! `Body`: the bytes of a request or a response, both ways, never more in memory than asked for.
use crate::Error;
use crate::incoming::Incoming;
use bytes::{Bytes, BytesMut};
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

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

type Producer = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

pub(crate) struct Stream {
    /// Runs only while somebody wants the next piece: this is the back-pressure.
    producer: Option<Producer>,
    slot: Rc<RefCell<Slot>>,
}

#[derive(Default)]
struct Slot {
    piece: Option<Bytes>,
    writer: Option<Waker>,
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
        let slot = Rc::<RefCell<Slot>>::default();
        let mut writer = Writer(Rc::clone(&slot));
        let producer = Box::pin(async move { write(&mut writer).await });
        Self(Kind::Stream(Stream {
            producer: Some(producer),
            slot,
        }))
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

impl Stream {
    async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| {
            let Some(producer) = &mut self.producer else {
                return Poll::Ready(Ok(None));
            };
            let done = producer.as_mut().poll(cx);
            if done.is_ready() {
                self.producer = None;
            }
            let mut slot = self.slot.borrow_mut();
            match (slot.piece.take(), done) {
                (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
                (None, Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
                (None, Poll::Pending) => Poll::Pending,
                (piece, _) => {
                    if let Some(writer) = slot.writer.take() {
                        writer.wake();
                    }
                    Poll::Ready(Ok(piece))
                }
            }
        })
        .await
    }
}

/// Writes a body piece by piece; see [`Body::stream`].
pub struct Writer(Rc<RefCell<Slot>>);

impl Writer {
    /// Sends a piece, and returns once it is taken. One piece is in memory at a time.
    ///
    /// If the reader is gone this never returns: the whole producer is dropped.
    pub async fn write(&mut self, piece: impl Into<Bytes>) {
        let mut piece = Some(piece.into()).filter(|piece| !piece.is_empty());
        poll_fn(|cx| {
            let mut slot = self.0.borrow_mut();
            if slot.piece.is_none() {
                match piece.take() {
                    Some(next) => slot.piece = Some(next),
                    None => return Poll::Ready(()),
                }
            }
            slot.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
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

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::block_on;

    #[test]
    fn a_stream_is_read_piece_by_piece_and_no_faster() {
        let written = Rc::new(RefCell::new(0));
        let count = Rc::clone(&written);
        let mut body = Body::stream(async move |writer| {
            for piece in ["a", "", "b", "c"] {
                writer.write(piece).await;
                *count.borrow_mut() += 1;
            }
            Ok(())
        });
        assert_eq!(body.len(), None);
        let first = block_on(body.chunk());
        assert_eq!(first.ok().flatten().as_deref(), Some(&b"a"[..]));
        assert_eq!(
            *written.borrow(),
            0,
            "the second piece is not made before the first is taken"
        );
        assert_eq!(block_on(body.bytes()).ok().as_deref(), Some(&b"bc"[..]));
        assert_eq!(*written.borrow(), 4);
    }

    #[test]
    fn a_stream_that_fails_does_not_end_well() {
        let body = Body::stream(async |writer| {
            writer.write("half of ").await;
            Err(Error::bad_gateway(""))
        });
        assert!(block_on(body.bytes()).is_err());
    }

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
