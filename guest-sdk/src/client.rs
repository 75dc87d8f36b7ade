//! Outbound HTTP, as far as the token grants it.
use crate::__bindings::wasi::http::outgoing_handler::handle;
use crate::__bindings::wasi::http::types::{OutgoingRequest, Scheme};
use crate::executor::{spawn, wait};
use crate::incoming::{Incoming, Source};
use crate::{Body, ErrorKind, Request, Response, SendError, body, convert, outgoing};
use http::{HeaderValue, header, uri};

/// Sends a request and returns the head of the response; both bodies stream.
///
/// The host opens the connection, follows no redirect, and sets the headers of matching bound secrets itself.
/// A request without a scheme is sent over `https`. Time is bounded by the invocation's own; for less use
/// [`timeout`](crate::timeout).
///
/// # Errors
/// If no response came. A response of any status is not an error.
pub async fn send(request: Request) -> Result<Response, SendError> {
    let (head, body) = request.into_parts();
    let outgoing = OutgoingRequest::new(outgoing::fields(&head.headers, &body)?);
    let scheme = match head.uri.scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTP => Scheme::Http,
        Some(scheme) if *scheme != uri::Scheme::HTTPS => Scheme::Other(scheme.as_str().to_owned()),
        _ => Scheme::Https,
    };
    let authority = head.uri.authority().map(|authority| authority.as_str());
    let path = head.uri.path_and_query().map(|path| path.as_str());
    if authority.is_none() {
        return Err(invalid("the URL names no host"));
    }
    outgoing
        .set_method(&convert::method_out(head.method))
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(authority))
        .and_then(|()| outgoing.set_path_with_query(path))
        .map_err(|()| invalid("the host refuses this method or URL"))?;
    let to = outgoing
        .body()
        .map_err(|()| SendError::protocol("no body"))?;
    let response = handle(outgoing, None)?;
    // The response may begin before the request has ended.
    spawn(async move {
        if let Err(error) = outgoing::send(body, to).await {
            error.log();
        }
    });
    wait(response.subscribe()).await;
    let response = match response.get() {
        Some(Ok(response)) => response?,
        Some(Err(())) | None => return Err(SendError::protocol("no response")),
    };
    let mut answer = Response::default();
    *answer.status_mut() = http::StatusCode::from_u16(response.status())
        .map_err(|_| SendError::protocol("not a status"))?;
    *answer.headers_mut() = convert::headers_in(response.headers());
    let incoming = Incoming::new(Source::Response(response), answer.headers());
    *answer.body_mut() = Body(body::Kind::Incoming(incoming));
    Ok(answer)
}

/// Sends a `GET` request to `url`.
///
/// # Errors
/// As for [`send`]; and [`ErrorKind::Request`] if `url` is not a URL.
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
/// As for [`get`]; and [`ErrorKind::Request`] if `value` cannot be said in JSON.
#[cfg(feature = "json")]
pub async fn post_json<T: serde::Serialize + ?Sized>(
    url: &str,
    value: &T,
) -> Result<Response, SendError> {
    let body = Body::from_json(value).map_err(|_| invalid("the value cannot be said in JSON"))?;
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
    *request.uri_mut() = url.parse().map_err(|_| invalid("not a URL"))?;
    if let Some(content_type) = content_type {
        request
            .headers_mut()
            .append(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    send(request).await
}

fn invalid(detail: &'static str) -> SendError {
    SendError::new(ErrorKind::Request, detail)
}
