//! Outbound HTTP, as far as the token grants it.
use crate::{Body, Request, Response, SendError, host};
use http::{HeaderValue, header};

/// Sends a request and returns the head of the response; both bodies stream.
///
/// The host opens the connection, follows no redirect, and sets the headers of matching bound secrets itself.
/// A request without a scheme is sent over `https`. Time is bounded by the invocation's own; for less use
/// [`Builder::timeout`](crate::Builder::timeout) and its like.
///
/// # Errors
/// If no response came. A response of any status is not an error.
pub async fn send(request: impl Into<Request>) -> Result<Response, SendError> {
    let mut request = request.into();
    match request.options.take() {
        None => host::send(request, None).await,
        Some(options) => options.send(request).await,
    }
}

/// Sends a `GET` request to `url`.
///
/// # Errors
/// As for [`send`]; and [`ErrorKind::Request`](crate::ErrorKind::Request) if `url` is not a URL.
pub async fn get(url: &str) -> Result<Response, SendError> {
    Request::get(url).send().await
}

/// Sends `body` to `url` in a `POST` request of the media type `content_type`.
///
/// # Errors
/// As for [`get`].
pub async fn post(
    url: &str,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Result<Response, SendError> {
    let content_type = HeaderValue::from_static(content_type);
    let request = Request::post(url).header(header::CONTENT_TYPE, content_type);
    request.body(body).send().await
}

/// Sends `value` as JSON to `url` in a `POST` request.
///
/// # Errors
/// As for [`get`]; and [`ErrorKind::Request`](crate::ErrorKind::Request) if `value` cannot be said in JSON.
#[cfg(feature = "json")]
pub async fn post_json<T: serde::Serialize + ?Sized>(
    url: &str,
    value: &T,
) -> Result<Response, SendError> {
    Request::post(url).json(value).send().await
}
