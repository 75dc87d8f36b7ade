//! The audit: what a component needs and what a token grants, as WIT and in words.
//!
//! [`Needs`] reads a component, [`Grants`] an opened token; both print a world that any WIT tool parses.
//! [`compare`] holds one against the other. [`Policy`] reads such a world as the ceiling of a platform.
//! Nothing here runs code, opens connections or knows requests; no value of a secret or parameter is in
//! anything that is printed.
//!
//! ```
//! use webtask_host::audit::{Grants, Policy};
//! use webtask_token::{Claims, Keyring};
//!
//! let mut claims = Claims::new("https://code.example.com/a.wasm", 1_800_000_000);
//! claims.out.push("GET https://api.example.com/v1/*".parse()?);
//! let keyring = Keyring::generate(None);
//! let opened = keyring.open(&keyring.seal(&claims)?, 1_800_000_000)?;
//! let world = Grants::of(&opened)?.to_wit();
//! assert!(world.contains("/// May send GET to https://api.example.com/v1/*.\n"));
//!
//! // What one token grants is a policy under which nothing may do more than that token.
//! let policy = Policy::parse("token.wit", &world)?;
//! assert_eq!(policy.name(), "webtask:audit/token");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compare;
mod grants;
mod needs;
mod policy;
mod power;
mod rules;
mod wit;
mod words;
mod world;

pub use compare::{Comparison, Differences, Finding, compare, differences};
pub use grants::{Grants, GrantsError};
pub(crate) use needs::imports;
pub use needs::{Needs, NeedsError};
pub use policy::{Policy, PolicyError};
pub use power::{Interface, NotAnInterface, Power, Standing};
