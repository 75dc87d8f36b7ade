//! Tokens that this webtask was given, as a secret or by its caller: hand on less of them.
//!
//! Narrowing needs no key, and asks nobody. A webtask that signs people in, for example, holds one token of the
//! application and gives each user a copy that is for that user and for ten minutes:
//!
//! ```no_run
//! use std::time::Duration;
//! use webtask::{secrets, token};
//!
//! # fn run() -> Result<String, webtask::Error> {
//! let caveat = token::Caveat {
//!     exp: Some(token::expires_in(Duration::from_secs(600))),
//!     params: [("user".to_owned(), "ada".to_owned())].into(),
//!     ..token::Caveat::default()
//! };
//! let narrowed = token::attenuate(&secrets::get("app-token")?, &caveat)?;
//! # Ok(narrowed)
//! # }
//! ```
//!
//! A webtask never sees the token that it runs with, so it cannot hand that one on. The secret must be a readable one.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use webtask_token::{AttenuateError, Caveat, Grant, Limits, ParseError, attenuate};

/// The time now, in Unix seconds, as [`Caveat::exp`] and [`Caveat::nbf`] count it.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The time so long from now, in Unix seconds, for [`Caveat::exp`]. Part of a second is left out.
#[must_use]
pub fn expires_in(life: Duration) -> u64 {
    now().saturating_add(life.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    // `host/token/vectors/attenuate-second.json` and its like hold the format; this is the way to it.
    #[test]
    fn a_token_is_narrowed() {
        let caveat = Caveat {
            exp: Some(expires_in(Duration::from_secs(600))),
            params: [("user".to_owned(), "ada".to_owned())].into(),
            ..Caveat::default()
        };
        let token = format!("wt1.k1.{}.{}", "A".repeat(64), "A".repeat(43));
        let narrowed = attenuate(&token, &caveat).expect("the caveat is valid");
        assert!(narrowed.starts_with(&token[..token.len() - 43]));
        assert_eq!(narrowed.matches('.').count(), 4);
        assert!(matches!(
            attenuate(&token, &Caveat::default()),
            Err(AttenuateError::Invalid(_))
        ));
    }

    #[test]
    fn times_are_seconds() {
        // From 2025 to 2286.
        assert!((1_735_689_600..10_000_000_000).contains(&now()));
        assert!(expires_in(Duration::MAX) > now());
    }
}
