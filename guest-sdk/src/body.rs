//! `Body`: the bytes of a request or a response, both ways, never more in memory than asked for.
use crate::Error;
use crate::stream::{Stream, Writer};
use crate::wasi::{Passing, Sink};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::pin::Pin;

/// The body of a [`Request`](crate::Request) or a [`Response`](crate::Response).
///
/// Made from text or bytes with `into()`, from a value with [`from_json`](Body::from_json) or
/// [`from_form`](Body::from_form), piece by piece with [`stream`](Body::stream); or one that came in, passed on as it
/// is, which streams with back-pressure:
///
/// ```
/// # use webtask::{Request, Response};
/// async fn echo(request: Request) -> Response {
///     Response::new(request.into_body())
/// }
/// ```
#[derive(Default)]
pub struct Body(pub(crate) Kind);

/// What a body is made of. A component holds the code of the kinds that it makes, and of no other: hence so many.
#[derive(Default)]
pub(crate) enum Kind {
    #[default]
    Empty,
    Static(&'static [u8]),
    Full(Vec<u8>),
    Shared(Bytes),
    Pieces(Box<dyn Pieces>),
}

/// A future that stays on its thread.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A body that comes piece by piece.
pub(crate) trait Pieces {
    /// The number of bytes still to come, if it is known.
    fn len(&self) -> Option<u64> {
        None
    }

    /// Whether it is the body of a response to this webtask: what is wrong with it is not the caller's fault.
    fn is_response(&self) -> bool {
        false
    }

    /// The next piece, which is not empty; `None` at the end. Dropping the future loses no bytes.
    fn chunk(&mut self) -> Pending<'_, Result<Option<Bytes>, Error>>;

    /// Moves what is left to `to` without its passing through this component's memory, where that is possible.
    fn pass_on<'a>(&'a mut self, to: &'a Sink) -> Option<Passing<'a>> {
        let _ = to;
        None
    }
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
    /// ```
    /// # use webtask::Body;
    /// let body = Body::stream(async |writer| {
    ///     for line in ["one\n", "two\n"] {
    ///         writer.write(line).await;
    ///     }
    ///     Ok(())
    /// });
    /// # assert_eq!(body.len(), None);
    /// ```
    pub fn stream<F>(write: F) -> Self
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), Error> + 'static,
    {
        Self::pieces(Stream::new(write))
    }

    pub(crate) fn pieces(pieces: impl Pieces + 'static) -> Self {
        Self(Kind::Pieces(Box::new(pieces)))
    }

    /// The number of bytes still to come, if it is known.
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            Kind::Empty => Some(0),
            Kind::Static(bytes) => Some(bytes.len() as u64),
            Kind::Full(bytes) => Some(bytes.len() as u64),
            Kind::Shared(bytes) => Some(bytes.len() as u64),
            Kind::Pieces(pieces) => pieces.len(),
        }
    }

    /// Whether it is known that no byte is to come.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The next piece, of at least one byte and at most 64 KiB if it came in; `None` at the end.
    ///
    /// # Errors
    /// If the other side broke off, a time limit of the request ran out, or the producer of a
    /// [`stream`](Body::stream) failed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if let Kind::Pieces(pieces) = &mut self.0 {
            return pieces.chunk().await;
        }
        let all = std::mem::take(self).into_shared();
        Ok(all.filter(|bytes| !bytes.is_empty()))
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
            false => Error::new(
                http::StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {max} bytes"),
            ),
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
    /// with 400 and what is wrong where (`items[2].price: invalid type…`), that of a response with 502 and nothing,
    /// and the log says what.
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let response = self.is_response();
        let decoded = crate::decode::json(&self.bytes().await?);
        decoded.map_err(|wrong| wrong.into_error("the body is not the JSON expected", response))
    }

    /// A body that holds `value` as JSON. Does not set `content-type`.
    ///
    /// # Errors
    /// If `value` cannot be said in JSON, as a map whose keys are not text.
    #[cfg(feature = "json")]
    pub fn from_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(serde_json::to_vec(value)?.into())
    }

    /// The value that the body holds as a form, `application/x-www-form-urlencoded`. Only the host bounds its size.
    ///
    /// # Errors
    /// As for [`json`](Body::json), with the name of the field.
    #[cfg(feature = "form")]
    pub async fn form<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        let response = self.is_response();
        let decoded = crate::decode::form(&self.bytes().await?);
        decoded.map_err(|wrong| wrong.into_error("the form is not the one expected", response))
    }

    /// A body that holds `value`, a struct, a map or a list of pairs, as a form. Does not set `content-type`.
    ///
    /// # Errors
    /// If `value` cannot be said in a form, as a struct in a struct.
    #[cfg(feature = "form")]
    pub fn from_form<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(serde_html_form::to_string(value)?.into())
    }

    pub(crate) fn is_response(&self) -> bool {
        matches!(&self.0, Kind::Pieces(pieces) if pieces.is_response())
    }

    /// All of it, where it is in memory.
    fn into_shared(self) -> Option<Bytes> {
        match self.0 {
            Kind::Static(bytes) => Some(Bytes::from_static(bytes)),
            Kind::Full(bytes) => Some(bytes.into()),
            Kind::Shared(bytes) => Some(bytes),
            Kind::Empty | Kind::Pieces(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Shared(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Full(bytes))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Kind::Static(bytes))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

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
    use crate::testing::block_on;

    fn refused<T>(result: Result<T, Error>) -> (u16, String) {
        let error = result.err().expect("it is refused");
        (error.status().as_u16(), error.message().to_owned())
    }

    #[test]
    fn the_maximum_is_allowed_and_one_more_is_not() {
        assert!(block_on(Body::from("four").bytes_up_to(4)).is_ok());
        let refused = refused(block_on(Body::from("fives").bytes_up_to(4)));
        assert_eq!(refused, (413, "the body has more than 4 bytes".to_owned()));
    }

    #[test]
    fn every_kind_is_read_once_and_to_its_end() {
        for body in [
            Body::from("ab"),
            Body::from(b"ab".as_slice()),
            Body::from("ab".to_owned()),
            Body::from(Bytes::from_static(b"ab")),
        ] {
            let mut body = body;
            assert_eq!(body.len(), Some(2));
            let first = block_on(body.chunk()).expect("in memory");
            assert_eq!(first.as_deref(), Some(&b"ab"[..]));
            assert!(block_on(body.chunk()).expect("in memory").is_none());
        }
        for mut empty in [Body::empty(), Body::from(""), Body::from(String::new())] {
            assert!(empty.is_empty());
            assert!(block_on(empty.chunk()).expect("in memory").is_none());
        }
    }

    #[test]
    #[cfg(feature = "json")]
    fn json_goes_both_ways_and_says_what_is_wrong_and_where() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only its shape matters")]
        struct Order {
            items: Vec<std::collections::BTreeMap<String, u32>>,
        }
        let body = Body::from_json(&[1, 2]).expect("numbers");
        assert_eq!(block_on(body.json::<Vec<u8>>()).ok(), Some(vec![1, 2]));
        for (text, says) in [
            (
                r#"{"items":[{"price":1},{"price":"two"}]}"#,
                "items[1].price: invalid type: string \"two\", expected u32 at line 1 column 36",
            ),
            ("{}", "missing field `items` at line 1 column 2"),
            ("", "EOF while parsing a value at line 1 column 0"),
            (
                "{\"items\":[]} x",
                "trailing characters at line 1 column 14",
            ),
        ] {
            let (status, message) = refused(block_on(Body::from(text).json::<Order>()));
            assert_eq!(status, 400);
            assert_eq!(
                message,
                format!("the body is not the JSON expected: {says}")
            );
        }
    }

    #[test]
    #[cfg(feature = "form")]
    fn forms_go_both_ways_and_name_the_field() {
        #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        struct Sms {
            to: String,
            parts: u8,
            tag: Vec<String>,
        }
        let sms = Sms {
            to: "+49 & more".to_owned(),
            parts: 2,
            tag: vec!["a".to_owned(), "b".to_owned()],
        };
        let body = Body::from_form(&sms).expect("a flat struct");
        let text = block_on(body.text()).expect("text");
        assert_eq!(text, "to=%2B49+%26+more&parts=2&tag=a&tag=b");
        assert_eq!(block_on(Body::from(text).form::<Sms>()).ok(), Some(sms));
        let wrong = Body::from("to=x&parts=300&tag=a");
        let (status, message) = refused(block_on(wrong.form::<Sms>()));
        assert_eq!(status, 400);
        assert_eq!(
            message,
            "the form is not the one expected: parts: number too large to fit in target type"
        );
        let (_, message) = refused(block_on(Body::from("to=x&tag=a").form::<Sms>()));
        assert_eq!(
            message,
            "the form is not the one expected: missing field `parts`"
        );
    }
}
