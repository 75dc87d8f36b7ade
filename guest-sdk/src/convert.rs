//! Between the types of `wasi:http`, which are the same in both generations, and those of the `http` crate.
use crate::__bindings::wasi::http::types::{Fields, HeaderError, Method, Scheme};
use crate::{Body, Error, Response, SendError};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri};

/// The host has parsed it, by the same rules.
pub(crate) fn method_in(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(other) => {
            http::Method::from_bytes(other.as_bytes()).expect("the host calls with a method")
        }
    }
}

fn method_out(method: http::Method) -> Method {
    match method.as_str() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// The URL of a request that came in: whole if the host knows the authority, else the path. The scheme is `https` if
/// the host does not say, which is what a public caller used.
pub(crate) fn uri_in(
    scheme: Option<Scheme>,
    authority: Option<String>,
    target: Option<String>,
) -> Uri {
    let target = target.unwrap_or_else(|| "/".to_owned());
    let whole = match authority {
        Some(authority) => {
            let scheme = match &scheme {
                Some(Scheme::Http) => "http",
                Some(Scheme::Https) | None => "https",
                Some(Scheme::Other(other)) => other,
            };
            [scheme, "://", &authority, &target].concat()
        }
        None => target,
    };
    let uri = Uri::from_maybe_shared(Bytes::from(whole));
    // As for the method.
    uri.expect("the host calls with a URL")
}

/// The method, scheme, authority and path of a request that goes out.
///
/// # Errors
/// If the URL names no host.
pub(crate) fn target_out(
    method: http::Method,
    uri: &Uri,
) -> Result<(Method, Scheme, &str, Option<&str>), SendError> {
    let scheme = match uri.scheme() {
        Some(scheme) if *scheme == uri::Scheme::HTTP => Scheme::Http,
        Some(scheme) if *scheme != uri::Scheme::HTTPS => Scheme::Other(scheme.as_str().to_owned()),
        _ => Scheme::Https,
    };
    let authority = uri.authority().map(|authority| authority.as_str());
    let authority = authority.ok_or_else(|| SendError::invalid("the URL names no host"))?;
    let path = uri.path_and_query().map(|path| path.as_str());
    Ok((method_out(method), scheme, authority, path))
}

/// The head of a response that came in.
///
/// # Errors
/// If its status is none.
pub(crate) fn response_in(
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
) -> Result<Response, SendError> {
    let mut response = Response::default();
    *response.status_mut() =
        StatusCode::from_u16(status).map_err(|_| SendError::protocol("not a status"))?;
    *response.headers_mut() = headers_in(fields);
    Ok(response)
}

/// A response that goes out: its status, its fields and its body, or a 500 where the host refuses a field.
pub(crate) fn response_out(response: Response) -> (u16, Fields, Body) {
    let (head, body) = response.into_parts();
    match fields(&head.headers, &body) {
        Ok(fields) => (head.status.as_u16(), fields, body),
        Err(refused) => {
            // The author's mistake, or that of what the author passes on: the log says which header it was.
            Error::from(refused).log();
            (500, Fields::new(), Body::empty())
        }
    }
}

/// A field that the `http` crate would not accept is left out: the host has checked them by the same rules.
pub(crate) fn headers_in(fields: Vec<(String, Vec<u8>)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::from_maybe_shared(bytes::Bytes::from(value)),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

/// The fields of a message with this body.
///
/// # Errors
/// Names the header that the host does not let a guest set.
pub(crate) fn fields(headers: &HeaderMap, body: &Body) -> Result<Fields, SendError> {
    let mut len = body.len();
    let mut list = Vec::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        if *name == header::CONTENT_LENGTH {
            len = None;
        }
        list.push((name.as_str().to_owned(), value.as_bytes().to_vec()));
    }
    if let Some(len) = len {
        let name = header::CONTENT_LENGTH.as_str().to_owned();
        list.push((name, len.to_string().into_bytes()));
    }
    // One call for all of them. Where it fails, one for each tells which it was.
    Fields::from_list(&list).or_else(|_| one_by_one(&list))
}

fn one_by_one(list: &[(String, Vec<u8>)]) -> Result<Fields, SendError> {
    let fields = Fields::new();
    for (name, value) in list {
        fields.append(name, value).map_err(|error| match error {
            HeaderError::Forbidden => {
                SendError::header(name, ": the host does not let a guest set it")
            }
            _ => SendError::header(name, ": not a valid name or value, or one too many"),
        })?;
    }
    Ok(fields)
}
