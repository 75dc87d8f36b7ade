//! What a caller is told of a run that failed: one row for each cause.

use http::StatusCode;

use super::{
    Blame::{Guest, Host},
    Row,
};
use crate::invoke::InvokeError as Invoke;

pub(super) fn row(error: &Invoke) -> Row {
    match error {
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
        Invoke::Headers(_) => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-headers",
            Guest,
            "The webtask made a set of headers that is too large",
        ),
        Invoke::Hostcall(_) => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-hostcall",
            Guest,
            "The webtask handed too much to the host at once",
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
        Invoke::Panicked => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            Host,
            "The host failed",
        ),
        Invoke::Random { .. } => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-random",
            Guest,
            "The webtask used up its random bytes",
        ),
        Invoke::Resources(_) => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-resources",
            Guest,
            "The webtask held too many of the host's resources",
        ),
        Invoke::ResponseTooLarge { .. } => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-response-too-large",
            Guest,
            "The webtask's response is too large",
        ),
        Invoke::Stack(_) => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-stack",
            Guest,
            "The webtask used up its stack",
        ),
        Invoke::Table(_) => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-table",
            Guest,
            "The webtask made a table that is too large",
        ),
        Invoke::Trap(_) => Row(
            StatusCode::INTERNAL_SERVER_ERROR,
            "guest-trap",
            Guest,
            "The webtask failed",
        ),
    }
}
