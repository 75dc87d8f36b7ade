//! What a webtask may know of the invocation it runs in. Nothing here is a secret, and nothing grants anything.
use crate::host;
use std::time::Duration;

/// The tenant that the token belongs to; `default` if the token names none.
pub fn tenant() -> String {
    host::tenant()
}

/// The id of the token, 32 hexadecimal digits: it identifies the token in logs and for revocation, and is of no other use.
pub fn token_id() -> String {
    host::token_id()
}

/// The id of this request, as in the answer's `webtask-request-id` header and in every log record.
pub fn request_id() -> String {
    host::request_id()
}

/// The time until the host ends this invocation; zero once it is used up.
pub fn remaining() -> Duration {
    Duration::from_nanos(host::remaining())
}
