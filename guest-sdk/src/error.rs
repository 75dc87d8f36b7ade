//! `Error`: what a handler returns when it cannot answer.
use crate::{Body, Response, log};
use http::{HeaderName, HeaderValue, StatusCode, header};
use std::borrow::Cow;
use std::fmt;

/// Why a handler did not answer: a status, a message for the caller, and a cause for the log.
///
/// `?` turns any [`std::error::Error`] into a 500 with an empty body; the cause is logged and never sent.
/// What the caller may know is said by name:
///
/// ```
/// use webtask::Error;
/// fn amount(text: &str) -> Result<u32, Error> {
///     text.parse().map_err(|cause| Error::bad_request("amount is not a number").with_source(cause))
/// }
/// ```
pub struct Error {
    status: StatusCode,
    message: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    source: Option<Box<dyn std::error::Error>>,
}

impl Error {
    /// An error that is answered with `status` and, as plain text, `message`. The caller reads it, so it
    /// holds nothing that the caller must not know. With an empty message the body is empty.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
            source: None,
        }
    }

    /// 400: the request is wrong.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 401: the request does not prove who sent it.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// 403: the caller may not do this.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 405: the path exists, the method does not. `allow` are those that do, for the header and the message, as in
    /// `"GET, HEAD"`.
    ///
    /// # Panics
    /// If `allow` has characters that no header may have.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = ["only ", allow, " is allowed here"].concat();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// 500: this webtask is at fault, or its token. The caller learns nothing, the log `cause`.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "").with_source(cause)
    }

    /// 502: a server that this webtask depends on failed.
    pub fn bad_gateway(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, message)
    }

    /// Adds the cause, which is logged and never sent.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a header to the answer, as `retry-after` to one that says when to try again.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The message for the caller, which may be empty.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The cause, if there is one.
    pub fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref()
    }

    /// Logs the cause and every cause behind it: an error if the answer is a 5xx, else information.
    pub(crate) fn log(&self) {
        let server = self.status.is_server_error();
        if server || self.source.is_some() {
            let level = if server {
                log::Level::Error
            } else {
                log::Level::Info
            };
            log::write(level, "webtask", format_args!("{self}"));
        }
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(source: E) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "").with_source(source)
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let mut response = if error.message.is_empty() {
            Self::new(Body::empty())
        } else {
            crate::text(error.message.into_owned())
        };
        *response.status_mut() = error.status;
        let no_store = HeaderValue::from_static("no-store");
        let headers = response.headers_mut();
        headers.append(header::CACHE_CONTROL, no_store);
        for (name, value) in error.headers {
            headers.append(name, value);
        }
        response
    }
}

/// For logs: the status, the message, and every cause.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.as_str())?;
        if !self.message.is_empty() {
            write!(f, " {}", self.message)?;
        }
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_500_that_says_nothing() {
        let failed: Result<u8, Error> = (|| Ok("x".parse::<u8>()?))();
        let error = failed.expect_err("x is no number");
        assert_eq!(error.to_string(), "500: invalid digit found in string");
        let response = Response::from(error);
        assert_eq!(response.status(), 500);
        assert_eq!(response.body().len(), Some(0));
    }

    #[test]
    fn a_wrong_method_is_answered_with_those_that_are_right() {
        let response = Response::from(Error::method_not_allowed("GET, HEAD"));
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
    }

    #[test]
    fn the_message_is_sent_and_the_cause_is_not() {
        let error = Error::bad_request("no").with_source("because");
        assert_eq!(format!("{error:?}"), "400 no: because");
        let response = Response::from(error);
        assert_eq!(
            (response.status().as_u16(), response.body().len()),
            (400, Some(2))
        );
    }
}
