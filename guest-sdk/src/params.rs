//! The parameters of the token: text fixed by whoever issued or narrowed it, not secret.
//!
//! The caller cannot change them, so they can be trusted: "this token is for user 42".
use crate::{Error, host};

/// The parameter `name`, if the token has it.
pub fn get(name: &str) -> Option<String> {
    host::param(name)
}

/// The parameter `name`, of a webtask that cannot do without.
///
/// # Errors
/// If the token has no such parameter: a 500 whose log line says how to make one that has.
pub fn require(name: &str) -> Result<String, Error> {
    get(name).ok_or_else(|| {
        Error::internal(
            [
                "the token has no parameter `",
                name,
                "`: make one with --param ",
                name,
                "=...",
            ]
            .concat(),
        )
    })
}

/// All parameters, as names and values.
pub fn all() -> Vec<(String, String)> {
    host::params()
}
