//! The secrets sealed in the token.
//!
//! A *readable* secret is handed out by [`get`]. A *bound* secret never is: the host sets it as a header of the
//! outbound requests that match its slots, and this webtask learns only its name.
//!
//! `#[webtask::main(secrets("stripe-key"))]` says which ones the webtask cannot do without: with a token that lacks
//! one it is not run, and the log names it.
use crate::__bindings::webtask::runtime::secrets;
use std::fmt;

/// Why a secret was not handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Error {
    /// The token holds no secret of this name.
    NotGranted,
    /// The token holds it as a bound secret: only the host may use the value.
    Bound,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotGranted => "the token holds no such secret",
            Self::Bound => "the secret is bound: the host sends it, and nobody reads it",
        })
    }
}

impl std::error::Error for Error {}

/// The value of the readable secret `name`.
///
/// # Errors
/// [`Error::NotGranted`] if the token holds no secret of this name, [`Error::Bound`] if it holds it as a bound one.
pub fn get(name: &str) -> Result<String, Error> {
    secrets::get(name).map_err(|error| match error {
        secrets::Error::NotGranted => Error::NotGranted,
        secrets::Error::Bound => Error::Bound,
    })
}

/// The names of all secrets in the token, readable and bound, sorted.
pub fn names() -> Vec<String> {
    secrets::names()
}
