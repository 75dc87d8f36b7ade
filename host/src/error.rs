//! Why a request failed, and the one place where that becomes a status, a code and a body.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use crate::{invoke::InvokeError, loader::LoadError, revocations::RevocationError, text};

/// Why a request was not answered by a guest.
///
/// The texts are for the operator's and the author's log. A caller gets only what [`Error::status`]
/// and [`Error::code`] say: nothing from inside goes to strangers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request itself cannot be served.
    #[error("bad request: {0}")]
    BadRequest(&'static str),
    /// The request's body is larger than the limit.
    #[error("the request's body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in force, in bytes.
        limit: u64,
    },
    /// The token or the platform does not allow what the request asks for.
    #[error("denied: {0}")]
    Denied(String),
    /// A fault of the host.
    #[error("internal error: {0}")]
    Internal(String),
    /// The guest ran and failed.
    #[error("the invocation failed")]
    Invoke(#[from] Arc<InvokeError>),
    /// The component could not be loaded.
    #[error("the component could not be loaded")]
    Load(#[from] Arc<LoadError>),
    /// The token is not for this method.
    #[error("the token is not for this method")]
    MethodDenied,
    /// No route of the host.
    #[error("no such resource")]
    NotFound,
    /// The token is not for this origin.
    #[error("the token is not for this origin")]
    OriginDenied,
    /// All places for invocations are taken.
    #[error("the host is at capacity")]
    Overloaded,
    /// The token is not for this path.
    #[error("the token is not for this path")]
    PathDenied,
    /// The token, or one that it comes from, was called too often.
    #[error("the limit rate is used up for {retry_after:?}")]
    RateLimited {
        /// When the next call fits.
        retry_after: Duration,
    },
    /// No more can be revoked, or the store failed.
    #[error("not revoked")]
    Revocation(#[from] RevocationError),
    /// The token, or one that it comes from, was revoked.
    #[error("the token is revoked")]
    Revoked,
    /// The component names secrets that it needs, and the token does not hold them.
    #[error(
        "the component needs secrets that the token does not hold: {}; mint a token with them, by --secret-file, --secret-env or --secret NAME=VALUE", .0.join(", ")
    )]
    SecretMissing(Vec<String>),
    /// The token is not valid.
    #[error("the token was refused")]
    Token(#[from] webtask_token::Error),
    /// The request carries no token.
    #[error("the request carries no token")]
    TokenMissing,
    /// The issuer token does not allow to mint this.
    #[error("beyond the issuer token: {}", .0.join("; "))]
    TooWide(Vec<String>),
    /// The body of a request to mint is not valid; says which field.
    #[error("not minted: {0}")]
    Unmintable(String),
}

/// Who has to act on a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// Whoever sent the request.
    Caller,
    /// The component, or where it is fetched from.
    Component,
    /// The code that ran.
    Guest,
    /// The host or its operator.
    Host,
}

/// One row of the table that README.md shows.
struct Row(StatusCode, &'static str, Blame, &'static str);

impl Error {
    fn row(&self) -> Row {
        use webtask_token::Error as Token;
        use {Blame::*, InvokeError as Invoke, LoadError as Load};
        match self {
            Self::BadRequest(_) | Self::Unmintable(_) => Row(
                StatusCode::BAD_REQUEST,
                "bad-request",
                Caller,
                "The request cannot be served",
            ),
            Self::BodyTooLarge { .. } => Row(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                Caller,
                "The request's body is too large",
            ),
            Self::Denied(_) => Row(
                StatusCode::FORBIDDEN,
                "denied",
                Caller,
                "The token or the platform does not allow this",
            ),
            Self::Internal(_) | Self::Revocation(RevocationError::Store(_)) => Row(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                Host,
                "The host failed",
            ),
            Self::MethodDenied => Row(
                StatusCode::FORBIDDEN,
                "method-denied",
                Caller,
                "The token is not for this method",
            ),
            Self::OriginDenied => Row(
                StatusCode::FORBIDDEN,
                "origin-denied",
                Caller,
                "The token is not for this origin",
            ),
            Self::PathDenied => Row(
                StatusCode::FORBIDDEN,
                "path-denied",
                Caller,
                "The token is not for this path",
            ),
            Self::RateLimited { .. } => Row(
                StatusCode::TOO_MANY_REQUESTS,
                "rate-limited",
                Caller,
                "The token was called too often",
            ),
            Self::Revocation(RevocationError::Full { .. }) => Row(
                StatusCode::TOO_MANY_REQUESTS,
                "revocations-full",
                Caller,
                "Too many tokens that come from this one are revoked; revoke that one",
            ),
            Self::Revoked => Row(
                StatusCode::UNAUTHORIZED,
                "token-revoked",
                Caller,
                "The token is revoked",
            ),
            Self::SecretMissing(_) => Row(
                StatusCode::FORBIDDEN,
                "secret-missing",
                Caller,
                "The token does not hold a secret that the code needs",
            ),
            Self::TooWide(_) => Row(
                StatusCode::FORBIDDEN,
                "too-wide",
                Caller,
                "The issuer token does not allow to mint this",
            ),
            Self::NotFound => Row(
                StatusCode::NOT_FOUND,
                "not-found",
                Caller,
                "No such resource; webtasks are called at /run",
            ),
            Self::Overloaded => Row(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                Host,
                "The host is at capacity",
            ),
            Self::TokenMissing => Row(
                StatusCode::UNAUTHORIZED,
                "token-missing",
                Caller,
                "A webtask token is required",
            ),
            Self::Token(Token::Expired { .. }) => Row(
                StatusCode::UNAUTHORIZED,
                "token-expired",
                Caller,
                "The token has expired",
            ),
            Self::Token(Token::NotYetValid { .. }) => Row(
                StatusCode::UNAUTHORIZED,
                "token-not-yet-valid",
                Caller,
                "The token is not valid yet",
            ),
            Self::Token(Token::ParamFixed { .. }) => Row(
                StatusCode::UNAUTHORIZED,
                "token-contradictory",
                Caller,
                "A caveat of the token changes a parameter that was fixed before",
            ),
            // Every unauthenticated cause gets this one answer.
            Self::Token(_) => Row(
                StatusCode::UNAUTHORIZED,
                "token-invalid",
                Caller,
                "The token is not valid",
            ),
            Self::Load(error) => match &**error {
                Load::Busy | Load::CompilersBusy => Row(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "overloaded",
                    Host,
                    "The host is at capacity",
                ),
                Load::CompileMemory { .. } => Row(
                    StatusCode::BAD_GATEWAY,
                    "component-compile-memory",
                    Component,
                    "Compiling the code takes too much memory",
                ),
                Load::Compiler { .. } => Row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "compiler-failed",
                    Host,
                    "The compiler failed",
                ),
                Load::Denied { .. } => Row(
                    StatusCode::FORBIDDEN,
                    "denied",
                    Caller,
                    "The token or the platform does not allow this",
                ),
                Load::Digest { .. } => Row(
                    StatusCode::BAD_GATEWAY,
                    "component-digest",
                    Component,
                    "The code does not have the token's digest",
                ),
                Load::Fetch { .. } => Row(
                    StatusCode::BAD_GATEWAY,
                    "component-fetch",
                    Component,
                    "The code could not be fetched",
                ),
                Load::Invalid { .. } => Row(
                    StatusCode::BAD_GATEWAY,
                    "component-invalid",
                    Component,
                    "The code is not a component that runs here",
                ),
                Load::Timeout { .. } => Row(
                    StatusCode::GATEWAY_TIMEOUT,
                    "component-timeout",
                    Component,
                    "The code took too long to load",
                ),
                Load::CompiledTooLarge { .. } | Load::TooLarge { .. } => Row(
                    StatusCode::BAD_GATEWAY,
                    "component-too-large",
                    Component,
                    "The code is too large",
                ),
            },
            Self::Invoke(error) => match &**error {
                Invoke::Cpu { .. } => Row(
                    StatusCode::GATEWAY_TIMEOUT,
                    "guest-cpu",
                    Guest,
                    "The webtask used up its CPU time",
                ),
                Invoke::Deadline { .. } => Row(
                    StatusCode::GATEWAY_TIMEOUT,
                    "guest-deadline",
                    Guest,
                    "The webtask ran past its deadline",
                ),
                Invoke::Guest(_) => Row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "guest-error",
                    Guest,
                    "The webtask answered with an error",
                ),
                Invoke::Memory(_) => Row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "guest-memory",
                    Guest,
                    "The webtask used up its memory",
                ),
                Invoke::NoResponse => Row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "guest-no-response",
                    Guest,
                    "The webtask ended without a response",
                ),
                Invoke::Overloaded(_) => Row(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "overloaded",
                    Host,
                    "The host is at capacity",
                ),
                Invoke::ResponseTooLarge { .. } => Row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "guest-response-too-large",
                    Guest,
                    "The webtask's response is too large",
                ),
                Invoke::Trap(_) => Row(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "guest-trap",
                    Guest,
                    "The webtask failed",
                ),
            },
        }
    }

    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.row().0.as_u16()
    }

    /// The stable name of the cause, as in the answer's `code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    /// Who has to act.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.row().2
    }

    /// The whole chain of causes in one line, for a log.
    #[must_use]
    pub fn chain(&self) -> String {
        text::chain(self)
    }

    /// The answer: `application/problem+json` (RFC 9457) made of constants, the request's id, and for
    /// an issuer what of its own request was too wide.
    pub(crate) fn to_response(&self, request_id: &str) -> Response<Full<Bytes>> {
        let Row(status, code, _, title) = self.row();
        let problem = Problem {
            status: status.as_u16(),
            code,
            title,
            request_id,
            limit: matches!(self, Self::RateLimited { .. }).then_some("rate"),
            errors: match self {
                Self::TooWide(errors) => Some(errors.as_slice()),
                Self::Unmintable(error) => Some(std::slice::from_ref(error)),
                _ => None,
            },
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let retry_after = match self {
            // Rounded up: a caller that comes back then is served.
            Self::RateLimited { retry_after } => Some(retry_after.as_secs() + 1),
            _ => (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        };
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    status: u16,
    code: &'a str,
    title: &'a str,
    request_id: &'a str,
    /// The name of the limit that was reached, where the code alone does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    /// What to mend, each in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [String]>,
}
