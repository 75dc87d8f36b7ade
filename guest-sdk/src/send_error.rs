//! `SendError`: why an outbound request, or the reading of a body, failed.
use crate::__bindings::wasi::http::types::ErrorCode;
use crate::wasi::Late;
use std::borrow::Cow;
use std::fmt;

/// What kind of failure it was: what a program decides by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection, or it broke: refused, ended, unreachable.
    Connect,
    /// The token does not grant this request. The log has the flag that would.
    Denied,
    /// The name resolves to an address that no webtask may reach, such as a private one.
    DestinationProhibited,
    /// The name does not resolve.
    Dns,
    /// The host sets or forbids a header that the guest set.
    Header,
    /// Something else.
    Other,
    /// The other side, or this one, does not speak HTTP as it should.
    Protocol,
    /// The request itself is wrong: no URL, a method or an URL that the host refuses.
    Request,
    /// A time limit was reached.
    Timeout,
    /// TLS failed, as for a certificate that does not fit.
    Tls,
    /// A limit on size or number was reached.
    TooLarge,
}

/// Why there is no response, or why a body broke off.
pub struct SendError(Cause);

enum Cause {
    Known(Known),
    /// While a body was read. The host tells the code if asked, and only who asks pays for it.
    Late(Late),
}

struct Known {
    kind: ErrorKind,
    code: &'static str,
    detail: Cow<'static, str>,
}

impl SendError {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Cause::Known(Known {
            kind,
            code: "",
            detail: detail.into(),
        }))
    }

    pub(crate) fn protocol(detail: &'static str) -> Self {
        Self::new(ErrorKind::Protocol, detail)
    }

    /// For a request that cannot be sent.
    pub(crate) fn invalid(detail: &'static str) -> Self {
        Self::new(ErrorKind::Request, detail)
    }

    pub(crate) fn header(name: &str, fault: &str) -> Self {
        Self::new(ErrorKind::Header, ["header ", name, fault].concat())
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Cause::Known(known) => known.kind,
            Cause::Late(error) => error
                .code()
                .map_or(ErrorKind::Other, |code| known(code).kind),
        }
    }

    /// The name of the `error-code` in `wasi:http/types`, or nothing if the failure has none.
    pub fn code(&self) -> &'static str {
        match &self.0 {
            Cause::Known(known) => known.code,
            Cause::Late(error) => error.code().map_or("", |code| known(code).code),
        }
    }
}

/// For logs: the code, and the detail if there is one.
impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Known(known) => {
                let empty = known.code.is_empty() || known.detail.is_empty();
                for part in [known.code, if empty { "" } else { ": " }, &known.detail] {
                    f.write_str(part)?;
                }
                if known.code.is_empty() && known.detail.is_empty() {
                    fmt::Debug::fmt(&known.kind, f)?;
                }
                Ok(())
            }
            Cause::Late(error) => f.write_str(&error.text()),
        }
    }
}

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SendError {}

/// For the fake origins of tests.
impl From<ErrorKind> for SendError {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind, "")
    }
}

impl From<Late> for SendError {
    fn from(error: Late) -> Self {
        Self(Cause::Late(error))
    }
}

impl From<ErrorCode> for SendError {
    fn from(code: ErrorCode) -> Self {
        Self(Cause::Known(known(code)))
    }
}

fn known(code: ErrorCode) -> Known {
    use ErrorKind::*;
    let mut detail = Cow::Borrowed("");
    let (kind, code) = match code {
        ErrorCode::DnsTimeout => (Timeout, "DNS-timeout"),
        ErrorCode::DnsError(payload) => {
            detail = payload.rcode.unwrap_or_default().into();
            (Dns, "DNS-error")
        }
        ErrorCode::DestinationNotFound => (Dns, "destination-not-found"),
        ErrorCode::DestinationUnavailable => (Connect, "destination-unavailable"),
        ErrorCode::DestinationIpProhibited => {
            detail = "the name resolves to an address that webtasks may not reach".into();
            (DestinationProhibited, "destination-IP-prohibited")
        }
        ErrorCode::DestinationIpUnroutable => (Connect, "destination-IP-unroutable"),
        ErrorCode::ConnectionRefused => (Connect, "connection-refused"),
        ErrorCode::ConnectionTerminated => (Connect, "connection-terminated"),
        ErrorCode::ConnectionTimeout => (Timeout, "connection-timeout"),
        ErrorCode::ConnectionReadTimeout => (Timeout, "connection-read-timeout"),
        ErrorCode::ConnectionWriteTimeout => (Timeout, "connection-write-timeout"),
        ErrorCode::ConnectionLimitReached => (TooLarge, "connection-limit-reached"),
        ErrorCode::TlsProtocolError => (Tls, "TLS-protocol-error"),
        ErrorCode::TlsCertificateError => (Tls, "TLS-certificate-error"),
        ErrorCode::TlsAlertReceived(payload) => {
            detail = payload.alert_message.unwrap_or_default().into();
            (Tls, "TLS-alert-received")
        }
        ErrorCode::HttpRequestDenied => {
            detail = "the token does not grant this request".into();
            (Denied, "HTTP-request-denied")
        }
        ErrorCode::HttpRequestLengthRequired => (Protocol, "HTTP-request-length-required"),
        ErrorCode::HttpRequestBodySize(_) => (TooLarge, "HTTP-request-body-size"),
        ErrorCode::HttpRequestMethodInvalid => (Request, "HTTP-request-method-invalid"),
        ErrorCode::HttpRequestUriInvalid => (Request, "HTTP-request-URI-invalid"),
        ErrorCode::HttpRequestUriTooLong => (Request, "HTTP-request-URI-too-long"),
        ErrorCode::HttpRequestHeaderSectionSize(_) => {
            (TooLarge, "HTTP-request-header-section-size")
        }
        ErrorCode::HttpRequestHeaderSize(_) => (TooLarge, "HTTP-request-header-size"),
        ErrorCode::HttpRequestTrailerSectionSize(_) => {
            (TooLarge, "HTTP-request-trailer-section-size")
        }
        ErrorCode::HttpRequestTrailerSize(_) => (TooLarge, "HTTP-request-trailer-size"),
        ErrorCode::HttpResponseIncomplete => (Protocol, "HTTP-response-incomplete"),
        ErrorCode::HttpResponseHeaderSectionSize(_) => {
            (TooLarge, "HTTP-response-header-section-size")
        }
        ErrorCode::HttpResponseHeaderSize(_) => (TooLarge, "HTTP-response-header-size"),
        ErrorCode::HttpResponseBodySize(_) => (TooLarge, "HTTP-response-body-size"),
        ErrorCode::HttpResponseTrailerSectionSize(_) => {
            (TooLarge, "HTTP-response-trailer-section-size")
        }
        ErrorCode::HttpResponseTrailerSize(_) => (TooLarge, "HTTP-response-trailer-size"),
        ErrorCode::HttpResponseTransferCoding(_) => (Protocol, "HTTP-response-transfer-coding"),
        ErrorCode::HttpResponseContentCoding(_) => (Protocol, "HTTP-response-content-coding"),
        ErrorCode::HttpResponseTimeout => (Timeout, "HTTP-response-timeout"),
        ErrorCode::HttpUpgradeFailed => (Protocol, "HTTP-upgrade-failed"),
        ErrorCode::HttpProtocolError => (Protocol, "HTTP-protocol-error"),
        ErrorCode::LoopDetected => (Protocol, "loop-detected"),
        ErrorCode::ConfigurationError => (Other, "configuration-error"),
        ErrorCode::InternalError(text) => {
            detail = text.unwrap_or_default().into();
            (Other, "internal-error")
        }
    };
    Known { kind, code, detail }
}
