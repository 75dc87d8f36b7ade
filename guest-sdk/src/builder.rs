//! A request in the making: what is wrong with it is said once, when it is sent.
use crate::timeouts::{Options, Timeouts};
use crate::{Body, Request, Response, SendError, client};
use http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;

/// A request to be built and [sent](Builder::send). What is wrong with it, sending it says.
///
/// ```
/// # use std::time::Duration;
/// # use webtask::{Error, Request};
/// # async fn charge() -> Result<(), Error> {
/// let response = Request::post("https://api.stripe.com/v1/charges")
///     .header("idempotency-key", "order-7")
///     .form(&[("amount", "1999"), ("currency", "eur")])
///     .timeout(Duration::from_secs(5))
///     .send()
///     .await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Builder {
    request: Request,
    timeouts: Timeouts,
    wrong: Option<SendError>,
}

impl Builder {
    pub(crate) fn new(method: Method, url: &str) -> Self {
        let mut request = Request::default();
        *request.method_mut() = method;
        let wrong = match url.parse() {
            Ok(url) => {
                *request.uri_mut() = url;
                None
            }
            // Without the text, which may hold what a log must not.
            Err(_) => Some(SendError::invalid("not a URL")),
        };
        Self {
            request,
            timeouts: Timeouts::default(),
            wrong,
        }
    }

    fn fail(&mut self, wrong: SendError) {
        self.wrong.get_or_insert(wrong);
    }

    /// Adds a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.request.headers_mut().append(name, value);
            }
            (Ok(name), Err(_)) => {
                self.fail(SendError::header(name.as_str(), ": not a valid value"));
            }
            (Err(_), _) => self.fail(SendError::invalid("not the name of a header")),
        }
        self
    }

    /// Sets the body. Its `content-type` is for [`header`](Builder::header) to set.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sets the body to `value` as JSON, and `content-type`.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        let body = Body::from_json(value).ok();
        self.typed("application/json", body, "the value cannot be said in JSON")
    }

    /// Sets the body to `value` as a form, and `content-type`.
    #[cfg(feature = "form")]
    pub fn form<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        let body = Body::from_form(value).ok();
        let media_type = "application/x-www-form-urlencoded";
        self.typed(media_type, body, "the value cannot be said in a form")
    }

    #[cfg(any(feature = "form", feature = "json"))]
    fn typed(
        mut self,
        media_type: &'static str,
        body: Option<Body>,
        otherwise: &'static str,
    ) -> Self {
        let Some(body) = body else {
            self.fail(SendError::invalid(otherwise));
            return self;
        };
        let media_type = HeaderValue::from_static(media_type);
        self.request
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        self.body(body)
    }

    /// Adds `value`, a struct, a map or a list of pairs, to the query of the URL.
    #[cfg(feature = "form")]
    pub fn query<T: serde::Serialize + ?Sized>(mut self, value: &T) -> Self {
        let Ok(more) = serde_html_form::to_string(value) else {
            self.fail(SendError::invalid("the value cannot be said in a query"));
            return self;
        };
        let uri = self.request.uri();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let between = match target.split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        let target = [target, between, &more].concat();
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = target.parse().ok();
        match http::Uri::from_parts(parts) {
            Ok(uri) => *self.request.uri_mut() = uri,
            Err(_) => self.fail(SendError::invalid("not a URL with this query")),
        }
        self
    }

    /// Bounds the whole call: until the last byte of the response was read.
    pub fn timeout(mut self, most: Duration) -> Self {
        self.timeouts.total = Some(most);
        self.options()
    }

    /// Bounds the time to connect: name, connection, TLS. The host has a bound of its own, which this can only lower.
    pub fn connect_timeout(mut self, most: Duration) -> Self {
        self.timeouts.connect = Some(most);
        self.options()
    }

    /// Bounds the time from the request until the head of the response.
    pub fn first_byte_timeout(mut self, most: Duration) -> Self {
        self.timeouts.first_byte = Some(most);
        self.options()
    }

    /// Bounds each pause in the body of the response.
    pub fn between_bytes_timeout(mut self, most: Duration) -> Self {
        self.timeouts.between_bytes = Some(most);
        self.options()
    }

    fn options(mut self) -> Self {
        self.request.options = Some(Options::new(self.timeouts));
        self
    }

    /// The request, to be sent with [`send`](crate::send).
    ///
    /// # Errors
    /// [`ErrorKind::Request`](crate::ErrorKind::Request) or [`ErrorKind::Header`](crate::ErrorKind::Header) if the
    /// URL, a header or the body is none.
    pub fn build(self) -> Result<Request, SendError> {
        match self.wrong {
            Some(wrong) => Err(wrong),
            None => Ok(self.request),
        }
    }

    /// Sends it and returns the head of the response; see [`send`](crate::send).
    ///
    /// # Errors
    /// As for [`build`](Builder::build) and [`send`](crate::send).
    pub async fn send(self) -> Result<Response, SendError> {
        client::send(self.build()?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    #[cfg(feature = "form")]
    fn queries_are_encoded_and_added() {
        for (url, whole) in [
            ("https://a.example", "https://a.example/?q=a+b%26c"),
            ("https://a.example/p?", "https://a.example/p?q=a+b%26c"),
            (
                "https://a.example/p?x=1",
                "https://a.example/p?x=1&q=a+b%26c",
            ),
        ] {
            let request = Request::get(url).query(&[("q", "a b&c")]).build();
            assert_eq!(request.expect("a request").uri().to_string(), whole);
        }
    }

    #[test]
    fn the_first_thing_that_is_wrong_is_said_without_its_text() {
        let secret = "sk_live_x\n";
        let wrong = Request::get("https://a.example/")
            .header("authorization", secret)
            .header("no name", "x")
            .build()
            .expect_err("a line feed");
        assert_eq!(wrong.kind(), ErrorKind::Header);
        assert_eq!(wrong.to_string(), "header authorization: not a valid value");
        let wrong = Request::get("https://a.example /").build();
        assert_eq!(wrong.expect_err("a space").kind(), ErrorKind::Request);
    }
}
