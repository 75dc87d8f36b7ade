//! CORS (the Fetch standard): preflights answered by the host, origins checked, credentials never.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::Full;

/// What a page may read of an answer beside its body.
const EXPOSED: &str = "webtask-request-id, webtask-source, retry-after";
/// How long a browser may keep the answer of a preflight, in seconds.
const MAX_AGE: &str = "600";
const REQUEST_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;

/// Whether `request` is a preflight: a browser asks before it sends a request with a token.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(REQUEST_METHOD)
}

/// The answer to a preflight. It carries no token, so what it allows is only that the browser may send
/// the request: whether the token allows it is decided then.
pub(crate) fn preflight<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let asked = |name: HeaderName| request.headers().get(name).cloned();
    let mut response = Response::default();
    let answer = response.headers_mut();
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    if let Some(method) = asked(REQUEST_METHOD) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
    }
    // `*` does not cover `authorization`, so what was asked for is named.
    if let Some(fields) = asked(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, fields);
    }
    answer.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(MAX_AGE),
    );
    answer.insert(
        header::VARY,
        HeaderValue::from_static("access-control-request-method, access-control-request-headers"),
    );
    response
}

/// Sets what a browser must know to let a page read the answer: its `origin` alone if the token is
/// `restricted` to some. What a guest said of it is dropped: it cannot widen the token.
pub(crate) fn expose(headers: &mut HeaderMap, origin: Option<&HeaderValue>, restricted: bool) {
    for name in [
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        header::ACCESS_CONTROL_ALLOW_METHODS,
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_MAX_AGE,
    ] {
        headers.remove(name);
    }
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin else { return };
    let allowed = if restricted {
        origin.clone()
    } else {
        HeaderValue::from_static("*")
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.append(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(EXPOSED),
    );
}
