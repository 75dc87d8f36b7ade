//! The secrets sealed in the token.
//!
//! A *readable* secret is handed out by [`get`]. A *bound* secret never is: the host sets it as a header of the
//! outbound requests that match its slots, and this webtask learns only its name.
//!
//! `#[webtask::main(secrets("stripe-key"))]` says which ones the webtask cannot do without: with a token that lacks
//! one it is not run, and the log names it.
use crate::host;
use std::fmt;

/// Why a secret was not handed out: which one, and the [`Reason`].
///
/// Left to `?` it is a 500 whose log line says how to make a token that has the secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    name: String,
    reason: Reason,
}

/// Why a secret was not handed out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The token holds it as a bound secret: only the host may use the value.
    Bound,
    /// The token holds no secret of this name.
    NotGranted,
}

impl Error {
    /// The name that was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why the value was not handed out.
    pub fn reason(&self) -> Reason {
        self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = match self.reason {
            Reason::Bound => (
                "the secret `",
                "` is bound: the host sends it, and nobody reads it; without --bind it would be readable",
            ),
            Reason::NotGranted => (
                "the token holds no secret `",
                "`: make one with --secret-env, --secret-file or --secret",
            ),
        };
        for part in [before, &self.name, after] {
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The value of the readable secret `name`.
///
/// # Errors
/// [`Reason::NotGranted`] if the token holds no secret of this name, [`Reason::Bound`] if it holds it as a bound one.
pub fn get(name: &str) -> Result<String, Error> {
    host::secret(name).map_err(|reason| Error {
        name: name.to_owned(),
        reason,
    })
}

/// The names of all secrets in the token, readable and bound, sorted.
pub fn names() -> Vec<String> {
    host::secret_names()
}
