//! The webtask token: a deployment that fits in an HTTP header.
//!
//! This crate owns the format and nothing else: [`Keyring::seal`] makes a token out of [`Claims`],
//! [`Keyring::open`] gives them back if every byte of the token is authentic and the time is right.
//! [`attenuate`] narrows a token without any key, and [`Opened::rights`] is what is left of it.
//! [`Opened::mint`] makes a token below the [`Ceiling`] of an issuer token.
//! It must not know files, networks, clocks or runtimes: the time is an argument, and the only
//! thing it takes from its surroundings is random bytes for nonces and new keys.
//! `SPEC.md` beside this crate is normative; `vectors/` holds tokens to accept and to reject.
//!
//! ```
//! use webtask_token::{Caveat, Claims, Denied, Keyring, Secret, SecretClaim, attenuate};
//!
//! let keyring = Keyring::generate(None);
//! let now = 1_800_000_000;
//! let mut claims = Claims::new("https://example.com/hello.wasm", now);
//! claims.secrets.insert(
//!     "stripe".to_owned(),
//!     SecretClaim {
//!         value: Secret::new("sk_test_1".to_owned()),
//!         slots: vec!["POST https://api.stripe.com/v1/charges authorization: Bearer {}".parse()?],
//!     },
//! );
//! let token = keyring.seal(&claims)?;
//! assert_eq!(keyring.open(&token, now)?.claims.url, "https://example.com/hello.wasm");
//!
//! // Anybody who holds it can hand on less of it.
//! let caveat = Caveat { methods: Some(vec!["GET".to_owned()]), ..Caveat::default() };
//! let narrowed = attenuate(&token, &caveat)?;
//! let rights = keyring.open(&narrowed, now)?.rights();
//! assert_eq!(rights.allows_request("POST", "/"), Err(Denied::Method));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod caveat;
mod cbor;
mod claims;
mod decode;
mod encode;
mod envelope;
mod error;
mod format;
mod grant;
mod id;
mod image;
mod issue;
mod keyring;
mod limits;
mod mint;
mod origin;
mod path;
mod rights;
mod secret;
mod slot;
pub mod units;

pub use caveat::{Caveat, attenuate};
pub use claims::{Carrier, Claims, Kind, is_name};
pub use envelope::{Inspected, Opened, inspect};
pub use error::{AttenuateError, Error, KeyringError, ParseError, SealError};
pub use format::Format;
pub use grant::Grant;
pub use id::{KeyId, LinkId};
pub use image::Image;
pub use issue::Ceiling;
pub use keyring::Keyring;
pub use limits::Limits;
pub use mint::{Amount, MintError, MintRequest, Minted, RevokeRequest};
pub use origin::{Origin, Scheme};
pub use rights::{Denied, Rights};
pub use secret::{Secret, SecretClaim};
pub use slot::Slot;
/// The text of grants and slots: cheap to clone, and mostly too short for an allocation.
pub use smol_str::SmolStr;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_LEN: usize = 8192;

/// The most caveats that a token may carry.
pub const MAX_CAVEATS: usize = 16;

/// How long a token lives when its issuer does not say: 30 days, in seconds.
pub const DEFAULT_LIFE: u64 = 30 * 24 * 3600;

/// The tenant of a token that names none.
pub const DEFAULT_TENANT: &str = "default";
