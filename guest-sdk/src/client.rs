//! Outbound HTTP, as far as the token grants it.
use crate::{Body, Request, Response, SendError, wasi};
use http::{HeaderValue, header};

/// Sends a request and returns the head of the response; both bodies stream.
///
/// The host opens the connection, follows no redirect, and sets the headers of matching bound secrets itself.
/// A request without a scheme is sent over `https`. Time is bounded by the invocation's own; for less use
/// [`timeout`](crate::timeout).
///
/// # Errors
/// If no response came. A response of any status is not an error.
pub async fn send(request: Request) -> Result<Response, SendError> {
    wasi::send(request).await
}

/// Sends a `GET` request to `url`.
///
/// # Errors
/// As for [`send`]; and [`ErrorKind::Request`](crate::ErrorKind::Request) if `url` is not a URL.
pub async fn get(url: &str) -> Result<Response, SendError> {
    request(http::Method::GET, url, None, Body::empty()).await
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
    request(http::Method::POST, url, Some(content_type), body.into()).await
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
    let body = Body::from_json(value)
        .map_err(|_| SendError::invalid("the value cannot be said in JSON"))?;
    post(url, "application/json", body).await
}

async fn request(
    method: http::Method,
    url: &str,
    content_type: Option<&'static str>,
    body: Body,
) -> Result<Response, SendError> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = url.parse().map_err(|_| SendError::invalid("not a URL"))?;
    if let Some(content_type) = content_type {
        request
            .headers_mut()
            .append(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    send(request).await
}
