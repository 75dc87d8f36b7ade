//! `Request`: one that came in, whose head is asked of the host as far as it is looked at, or one to send.
use crate::builder::Builder;
use crate::timeouts::Options;
use crate::wasi::Inbound;
use crate::{Body, Error, convert};
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};
use std::cell::OnceCell;
use std::fmt;
use std::str::FromStr;

/// A request, to the webtask or by it.
///
/// What came in is read when it is asked for: a webtask that looks at no header pays for none. The types are those of
/// the [`http`] crate, whose own requests become one of these with `into()`, and the other way round. One to send is
/// made with [`Request::post`] and its like.
///
/// ```
/// # use webtask::{Error, Method, Request, Response};
/// async fn greet(request: Request) -> Result<Response, Error> {
///     if request.method() != Method::POST {
///         return Err(Error::method_not_allowed("POST"));
///     }
///     let greeting = format!("Hello, {}\n", request.path());
///     let name = request.into_body().text().await?;
///     Ok(webtask::text(greeting + &name))
/// }
/// ```
#[derive(Default)]
pub struct Request {
    /// While it is there, what is not in the cells is asked of it.
    inbound: Option<Inbound>,
    method: OnceCell<Method>,
    uri: OnceCell<Uri>,
    /// Path and query of what came in, for those who need no more of the URL.
    target: OnceCell<String>,
    headers: OnceCell<HeaderMap>,
    captures: Vec<(&'static str, String)>,
    pub(crate) options: Option<Options>,
    body: Body,
}

impl Request {
    /// A `GET` of `/` with this body: what is not so is set on it.
    pub fn new(body: impl Into<Body>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn inbound(inbound: Inbound) -> Self {
        Self {
            inbound: Some(inbound),
            ..Self::default()
        }
    }

    /// A request by `method` to `url`, to be built and sent.
    pub fn builder(method: Method, url: impl AsRef<str>) -> Builder {
        Builder::new(method, url.as_ref())
    }

    /// A `GET` request to `url`, to be built and sent.
    pub fn get(url: impl AsRef<str>) -> Builder {
        Self::builder(Method::GET, url)
    }

    /// A `POST` request to `url`, to be built and sent.
    pub fn post(url: impl AsRef<str>) -> Builder {
        Self::builder(Method::POST, url)
    }

    /// A `PUT` request to `url`, to be built and sent.
    pub fn put(url: impl AsRef<str>) -> Builder {
        Self::builder(Method::PUT, url)
    }

    /// A `PATCH` request to `url`, to be built and sent.
    pub fn patch(url: impl AsRef<str>) -> Builder {
        Self::builder(Method::PATCH, url)
    }

    /// A `DELETE` request to `url`, to be built and sent.
    pub fn delete(url: impl AsRef<str>) -> Builder {
        Self::builder(Method::DELETE, url)
    }

    /// The method.
    pub fn method(&self) -> &Method {
        self.method.get_or_init(|| {
            let inbound = self.inbound.as_ref();
            inbound.map_or(Method::GET, |inbound| convert::method_in(inbound.method()))
        })
    }

    /// The method, to be changed.
    pub fn method_mut(&mut self) -> &mut Method {
        self.method();
        let method = self.method.get_mut();
        method.expect("it was filled above")
    }

    /// The whole URL. Of a request that came in: scheme and host are those that the caller used, the path is without
    /// the `/run` of the host.
    pub fn uri(&self) -> &Uri {
        self.uri.get_or_init(|| match &self.inbound {
            Some(inbound) => {
                convert::uri_in(inbound.scheme(), inbound.authority(), inbound.target())
            }
            None => Uri::from_static("/"),
        })
    }

    /// The URL, to be changed.
    pub fn uri_mut(&mut self) -> &mut Uri {
        self.uri();
        self.target.take();
        let uri = self.uri.get_mut();
        uri.expect("it was filled above")
    }

    fn target(&self) -> &str {
        match (&self.inbound, self.uri.get()) {
            (Some(inbound), None) => self
                .target
                .get_or_init(|| inbound.target().unwrap_or_else(|| "/".to_owned())),
            (None, None) => "/",
            (_, Some(uri)) => uri.path_and_query().map_or("/", |target| target.as_str()),
        }
    }

    /// The path, as it was sent: percent-encoded. Costs less than [`uri`](Request::uri).
    pub fn path(&self) -> &str {
        let target = self.target();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What follows the `?` of the URL, as it was sent. `None` without one.
    pub fn query_string(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// The query as a struct, a map or a list of pairs.
    ///
    /// ```
    /// # use webtask::{Error, Request};
    /// #[derive(serde::Deserialize)]
    /// struct Page {
    ///     from: u32,
    ///     #[serde(default)]
    ///     tag: Vec<String>,
    /// }
    /// # fn run() -> Result<(), Error> {
    /// let request = Request::get("https://example.com/list?from=40&tag=a&tag=b").build()?;
    /// let page: Page = request.query()?;
    /// assert_eq!((page.from, page.tag.len()), (40, 2));
    /// # Ok(()) }
    /// # run().unwrap();
    /// ```
    ///
    /// # Errors
    /// If it is not what `T` asks for: answered with 400, the name of the field and what is wrong with it.
    #[cfg(feature = "form")]
    pub fn query<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        let query = self.query_string().unwrap_or_default();
        let decoded = crate::decode::form(query.as_bytes());
        decoded.map_err(|wrong| wrong.into_error("the query is not the one expected", false))
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| {
            let inbound = self.inbound.as_ref();
            inbound.map_or_else(HeaderMap::new, |inbound| {
                convert::headers_in(inbound.fields())
            })
        })
    }

    /// The header fields, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers();
        let headers = self.headers.get_mut();
        headers.expect("they were filled above")
    }

    /// The value of the header `name`, in any case, if it is there once and is UTF-8.
    ///
    /// Costs less than [`headers`](Request::headers): the kilobytes that know the names of all usual headers are not in
    /// the component of a webtask that needs this alone.
    pub fn header(&self, name: &str) -> Option<String> {
        let only = match (&self.inbound, self.headers.get()) {
            (Some(inbound), None) => {
                let mut values = inbound.field(name);
                let only = values.pop();
                only.filter(|_| values.is_empty())?
            }
            (None, None) => return None,
            (_, Some(headers)) => {
                let same = headers
                    .iter()
                    .filter(|(other, _)| other.as_str().eq_ignore_ascii_case(name));
                let mut same = same.map(|(_, value)| value.as_bytes().to_vec());
                let only = same.next()?;
                if same.next().is_some() {
                    return None;
                }
                only
            }
        };
        String::from_utf8(only).ok()
    }

    /// The value of the cookie `name` that the caller sent (RFC 6265): the first one, without quotes around it.
    ///
    /// Whoever calls can set it to anything.
    pub fn cookie(&self, name: &str) -> Option<String> {
        crate::cookie::find(&self.header("cookie")?, name).map(str::to_owned)
    }

    /// The part of the path that the route calls `name`, percent-decoded. See [`Router`](crate::Router).
    ///
    /// # Errors
    /// If it is not a `T`: answered with 400, its name and what is wrong with it. If the route has no such name:
    /// 500, and the log says so.
    pub fn capture<T>(&self, name: &str) -> Result<T, Error>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let mut captures = self.captures.iter();
        let Some((_, text)) = captures.find(|(other, _)| *other == name) else {
            let cause = format!("the route of {} has no `{{{name}}}`", self.path());
            return Err(Error::internal(cause));
        };
        text.parse()
            .map_err(|cause| Error::bad_request(format!("{name} in the path: {cause}: {text:?}")))
    }

    pub(crate) fn set_captures(&mut self, captures: Vec<(&'static str, String)>) {
        self.captures = captures;
    }

    /// The body, to be read piece by piece or to be changed.
    pub fn body_mut(&mut self) -> &mut Body {
        self.split();
        &mut self.body
    }

    /// The body alone.
    pub fn into_body(self) -> Body {
        match self.inbound {
            Some(inbound) => inbound.into_body(),
            None => self.body,
        }
    }

    /// The value that the body holds as JSON; see [`Body::json`].
    ///
    /// # Errors
    /// As for [`Body::json`].
    #[cfg(feature = "json")]
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        self.into_body().json().await
    }

    /// The value that the body holds as a form; see [`Body::form`].
    ///
    /// # Errors
    /// As for [`Body::form`].
    #[cfg(feature = "form")]
    pub async fn form<T: serde::de::DeserializeOwned>(self) -> Result<T, Error> {
        self.into_body().form().await
    }

    /// The head and the body.
    pub fn into_parts(mut self) -> (Parts, Body) {
        self.split();
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.version = Version::HTTP_11;
        head.method = self.method.take().unwrap_or_default();
        head.uri = self.uri.take().unwrap_or_default();
        head.headers = self.headers.take().unwrap_or_default();
        (head, self.body)
    }

    /// Takes everything from the host: the body can go without its head only when that has been read.
    fn split(&mut self) {
        self.method();
        self.uri();
        self.headers();
        if let Some(inbound) = self.inbound.take() {
            self.body = inbound.into_body();
        }
    }
}

impl<B: Into<Body>> From<http::Request<B>> for Request {
    fn from(request: http::Request<B>) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method.into(),
            uri: head.uri.into(),
            headers: head.headers.into(),
            body: body.into(),
            ..Self::default()
        }
    }
}

impl From<Request> for http::Request<Body> {
    fn from(request: Request) -> Self {
        let (head, body) = request.into_parts();
        Self::from_parts(head, body)
    }
}

/// Without the headers, which may hold what a log must not.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_the_http_crate_become_ours_and_back() {
        let request = http::Request::put("https://a.example/b%20c?d=e")
            .header("X-Id", "1")
            .body("text");
        let request = Request::from(request.expect("a request"));
        assert_eq!(
            (request.path(), request.query_string()),
            ("/b%20c", Some("d=e"))
        );
        assert_eq!(request.header("x-ID").as_deref(), Some("1"));
        let request = http::Request::<Body>::from(request);
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri().host(), Some("a.example"));
        assert_eq!(request.body().len(), Some(4));
    }

    #[test]
    fn a_header_that_is_there_twice_has_no_one_value() {
        let mut request = Request::new(());
        assert_eq!((request.method(), request.path()), (&Method::GET, "/"));
        assert_eq!(request.header("a"), None);
        for value in ["1", "2"] {
            let value = http::HeaderValue::from_static(value);
            request.headers_mut().append("a", value);
        }
        assert_eq!(request.header("a"), None);
        *request.uri_mut() = Uri::from_static("/x?");
        assert_eq!((request.path(), request.query_string()), ("/x", Some("")));
    }
}
