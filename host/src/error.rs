//! Why a request failed, and the one place where that becomes a status and a code; `problem` makes the answer.

mod guest;
mod limit;
mod mend;
mod problem;

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde::Serialize;

use crate::{
    Limit, admission::Refused, invoke::InvokeError, loader::LoadError,
    revocations::RevocationError, text,
};

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
    /// The host is shutting down; only its readiness says so.
    #[error("the host is shutting down")]
    Draining,
    /// The request has more header fields than the limit.
    #[error("the request has more than {limit} header fields, the limit header-fields")]
    HeaderFields {
        /// The limit in force.
        limit: usize,
    },
    /// A fault of the host.
    #[error("internal error: {0}")]
    Internal(String),
    /// The guest ran and failed.
    #[error("the invocation failed")]
    Invoke(#[from] Arc<InvokeError>),
    /// The component could not be loaded.
    #[error("the component could not be loaded")]
    Load(#[from] Arc<LoadError>),
    /// Too many live logs are being read, of all or of the tenant.
    #[error("too many live logs are being read at the same time, the limit {limit}")]
    LogReaders {
        /// Which one.
        limit: Limit,
    },
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
    /// The tenant has all of its places for invocations.
    #[error(
        "the tenant runs as many invocations as it may, the limit tenant-invocations, or invocations of its table"
    )]
    TenantBusy,
    /// The tenant's tokens were called too often.
    #[error("the rate of the tenant is used up for {retry_after:?}")]
    TenantRateLimited {
        /// When the next call fits.
        retry_after: Duration,
    },
    /// The token is not valid.
    #[error("the token was refused")]
    Token(#[from] webtask_token::Error),
    /// The token, and those of the same root, have all of their places for invocations.
    #[error(
        "the token, with all that is made from the same root, runs as many invocations as it may, the limit token-invocations"
    )]
    TokenBusy,
    /// The request carries no token.
    #[error("the request carries no token")]
    TokenMissing,
    /// The issuer token does not allow to mint this.
    #[error("beyond the issuer token: {}", .0.join("; "))]
    TooWide(Vec<String>),
    /// Too many answers of guests are still being read, of all or of the token or its tenant.
    #[error("too many answers are being read at the same time, the limit connections")]
    Unread,
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

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Overloaded => Self::Overloaded,
            Refused::Tenant => Self::TenantBusy,
            Refused::Token => Self::TokenBusy,
        }
    }
}

impl Error {
    fn row(&self) -> Row {
        use webtask_token::Error as Token;
        use {Blame::*, LoadError as Load};
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
            Self::Draining => Row(
                StatusCode::SERVICE_UNAVAILABLE,
                "draining",
                Host,
                "The host is shutting down",
            ),
            Self::HeaderFields { .. } => Row(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "header-fields",
                Caller,
                "The request has too many header fields",
            ),
            Self::Internal(_) | Self::Revocation(RevocationError::Store(_)) => Row(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                Host,
                "The host failed",
            ),
            Self::LogReaders { .. } => Row(
                StatusCode::TOO_MANY_REQUESTS,
                "log-readers",
                Caller,
                "Too many live logs are being read at the same time",
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
            Self::RateLimited { .. } | Self::TenantRateLimited { .. } => Row(
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
            Self::Overloaded | Self::Unread => Row(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                Host,
                "The host is at capacity",
            ),
            Self::TenantBusy => Row(
                StatusCode::TOO_MANY_REQUESTS,
                "tenant-busy",
                Caller,
                "The tenant has too much under way at the same time",
            ),
            Self::TokenBusy => Row(
                StatusCode::TOO_MANY_REQUESTS,
                "token-busy",
                Caller,
                "The token has too much under way at the same time",
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
                Load::TenantBusy => Row(
                    StatusCode::TOO_MANY_REQUESTS,
                    "tenant-busy",
                    Caller,
                    "The tenant has too much under way at the same time",
                ),
                Load::Denied { .. } | Load::TenantDenied { .. } => Row(
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
            Self::Invoke(error) => guest::row(error),
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
}
