//! Why an outbound call was refused or failed: names that stay the same, for logs and for who reads them.

use wasmtime_wasi_http::Error;

use crate::{
    Limit,
    capability::log::GuestLog,
    egress::{ConnectError, SendError},
};

/// Each stands in the author's log as `reason=name`, and in the table of README.md.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    BytesUsedUp,
    CallsUsedUp,
    Certificate,
    ConnectFailed,
    ConnectTimeout,
    ConnectionLost,
    HeadTooLarge,
    Method,
    NameTimeout,
    NameUnknown,
    NoGrant,
    NotHttp,
    Policy,
    PrivateAddress,
    RequestUnfinished,
    ResponseTimeout,
    ResponseTooLarge,
    SecretReturned,
    SignedTooLarge,
    SignedTrailers,
    SlotHeader,
    Tenant,
    Tls,
    TooManyCalls,
    Unsearchable,
    Url,
}

impl Reason {
    /// The name in logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BytesUsedUp => "bytes-used-up",
            Self::CallsUsedUp => "calls-used-up",
            Self::Certificate => "certificate",
            Self::ConnectFailed => "connect-failed",
            Self::ConnectTimeout => "connect-timeout",
            Self::ConnectionLost => "connection-lost",
            Self::HeadTooLarge => "head-too-large",
            Self::Method => "method",
            Self::NameTimeout => "name-timeout",
            Self::NameUnknown => "name-unknown",
            Self::NoGrant => "no-grant",
            Self::NotHttp => "not-http",
            Self::Policy => "policy",
            Self::PrivateAddress => "private-address",
            Self::RequestUnfinished => "request-unfinished",
            Self::ResponseTimeout => "response-timeout",
            Self::ResponseTooLarge => "response-too-large",
            Self::SecretReturned => "secret-returned",
            Self::SignedTooLarge => "signed-too-large",
            Self::SignedTrailers => "signed-trailers",
            Self::SlotHeader => "slot-header",
            Self::Tenant => "tenant",
            Self::Tls => "tls",
            Self::TooManyCalls => "too-many-calls",
            Self::Unsearchable => "unsearchable",
            Self::Url => "url",
        }
    }

    /// What the guest sees of it.
    pub(super) fn error(self) -> Error {
        match self {
            Self::BytesUsedUp | Self::ResponseTooLarge => Error::HttpResponseBodySize(None),
            Self::CallsUsedUp | Self::TooManyCalls => Error::ConnectionLimitReached,
            Self::Certificate => Error::TlsCertificateError,
            Self::ConnectFailed => Error::ConnectionRefused,
            Self::ConnectTimeout => Error::ConnectionTimeout,
            Self::ConnectionLost => Error::ConnectionTerminated,
            Self::HeadTooLarge => Error::HttpResponseHeaderSectionSize(None),
            Self::Method
            | Self::NoGrant
            | Self::Policy
            | Self::SignedTrailers
            | Self::SlotHeader
            | Self::Tenant => Error::HttpRequestDenied,
            Self::NameTimeout => Error::DnsTimeout,
            Self::NameUnknown => Error::DnsError {
                rcode: None,
                info_code: None,
            },
            Self::NotHttp | Self::RequestUnfinished => Error::HttpProtocolError,
            Self::PrivateAddress => Error::DestinationIpProhibited,
            Self::ResponseTimeout => Error::ConnectionReadTimeout,
            Self::SecretReturned => Error::HttpResponseIncomplete,
            Self::SignedTooLarge => Error::HttpRequestBodySize(None),
            Self::Tls => Error::TlsProtocolError,
            Self::Unsearchable => Error::HttpResponseContentCoding(None),
            Self::Url => Error::HttpRequestUriInvalid,
        }
    }

    /// The limit that refused the call, if it was one.
    fn limit(self) -> Option<Limit> {
        match self {
            Self::BytesUsedUp => Some(Limit::OutboundTotal),
            Self::CallsUsedUp => Some(Limit::Calls),
            Self::ConnectTimeout => Some(Limit::Connect),
            Self::HeadTooLarge => Some(Limit::HeaderBytes),
            Self::ResponseTooLarge => Some(Limit::OutboundBytes),
            Self::SignedTooLarge => Some(Limit::SignedBytes),
            Self::TooManyCalls => Some(Limit::ConcurrentCalls),
            _ => None,
        }
    }

    /// Tells the author; the typed error that the guest sees.
    pub(super) fn tell(self, log: &GuestLog, text: &str) -> Error {
        self.tell_as(log, text, None)
    }

    /// The same, where an author who reads over the network is told less than the operator.
    pub(super) fn tell_as(self, log: &GuestLog, text: &str, author: Option<&str>) -> Error {
        log.call_failed(self.name());
        let text = format!("reason={}; {text}", self.name());
        let author = author.map(|text| format!("reason={}; {text}", self.name()));
        if let Some(limit) = self.limit() {
            log.hit(limit);
        }
        match self {
            // Calls are few, and denials that the guest made before must not hide this one.
            Self::SecretReturned => log.failed(&text),
            _ => log.denied_as(&text, author.as_deref()),
        }
        self.error()
    }

    /// Why there was no answer.
    pub(super) fn of_send(error: &SendError) -> Self {
        match error {
            SendError::Connect(error) => Self::of_connect(error),
            SendError::Http(error) => Self::of_http(error),
            SendError::Informational(_) => Self::NotHttp,
            SendError::Start(_) => Self::ConnectFailed,
            SendError::Timeout { .. } => Self::ResponseTimeout,
        }
    }

    fn of_connect(error: &ConnectError) -> Self {
        match error {
            ConnectError::Address { .. } => Self::PrivateAddress,
            ConnectError::Dns { source, .. } => match source.kind() {
                std::io::ErrorKind::TimedOut => Self::NameTimeout,
                _ => Self::NameUnknown,
            },
            ConnectError::Refused { source, .. } => match source.kind() {
                std::io::ErrorKind::TimedOut => Self::ConnectTimeout,
                _ => Self::ConnectFailed,
            },
            ConnectError::Timeout { .. } => Self::ConnectTimeout,
            ConnectError::Tls { source, .. } => {
                let cause = source.get_ref().and_then(|cause| cause.downcast_ref());
                match cause {
                    Some(rustls::Error::InvalidCertificate(_)) => Self::Certificate,
                    _ => Self::Tls,
                }
            }
            ConnectError::Uri => Self::Url,
        }
    }

    /// Why an exchange broke. What is none of the others is a connection that ended, or a stream of
    /// HTTP/2 that the origin reset.
    pub(super) fn of_http(error: &hyper::Error) -> Self {
        if error.is_parse_too_large() {
            Self::HeadTooLarge
        } else if error.is_parse() || error.is_parse_status() {
            Self::NotHttp
        } else if error.is_user() {
            Self::RequestUnfinished
        } else {
            Self::ConnectionLost
        }
    }
}
