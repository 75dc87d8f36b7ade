//! What can go wrong, one enum for each verb.
//!
//! No error holds anything of a secret, of a key or of a token's text.

/// Why a token was not opened.
///
/// To the caller only [`authenticated`](Self::authenticated) errors may be told apart; the others
/// are one answer, so that nobody learns which check a forgery passed. The cause is for the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Authentic, and over: `now >= exp` (RFC 7519 section 4.1.4). Unix seconds.
    #[error("the token expired at {exp}, it is {now}")]
    Expired {
        /// The claim `exp`.
        exp: u64,
        /// The time that was given to `open`.
        now: u64,
    },
    /// Not a token of this version's syntax, or authentic claims that break a rule of `SPEC.md`.
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Authentic, and early: `now < nbf` (RFC 7519 section 4.1.5). Unix seconds.
    #[error("the token is valid from {nbf}, it is {now}")]
    NotYetValid {
        /// The claim `nbf`.
        nbf: u64,
        /// The time that was given to `open`.
        now: u64,
    },
    /// Authentic, and a caveat gives a parameter another value than it was fixed to before.
    #[error("caveat {caveat} changes a parameter that is fixed already")]
    ParamFixed {
        /// The caveat by its place, from 1.
        caveat: usize,
    },
    /// The tail or the sealed claims are not what a holder of the key made.
    #[error("the token is not authentic")]
    Unauthentic,
    /// The keyring has no key of the token's `kid`.
    #[error("the token names a key that the keyring does not hold")]
    UnknownKey,
    /// A `wt` token of another version.
    #[error("the token is of a version that is not supported")]
    UnsupportedVersion,
}

impl Error {
    /// True for causes that can be reached only after the tail was found authentic.
    pub fn authenticated(&self) -> bool {
        match self {
            Self::Expired { .. } | Self::NotYetValid { .. } | Self::ParamFixed { .. } => true,
            Self::Malformed(_)
            | Self::Unauthentic
            | Self::UnknownKey
            | Self::UnsupportedVersion => false,
        }
    }
}

/// Why a token was not narrowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttenuateError {
    /// The caveat breaks a rule of `SPEC.md`.
    #[error("the caveat is not valid: {0}")]
    Invalid(&'static str),
    /// An earlier caveat has fixed a parameter to another value.
    #[error("a parameter is fixed already, to another value")]
    ParamFixed,
    /// It is not a token of this version, or an earlier caveat is not one.
    #[error("{0}")]
    Token(Error),
    /// The token would be longer than [`MAX_TOKEN_LEN`](crate::MAX_TOKEN_LEN).
    #[error("the token would be longer than 8 KiB")]
    TooLong,
    /// The token carries [`MAX_CAVEATS`](crate::MAX_CAVEATS) already.
    #[error("the token carries 16 caveats already")]
    TooMany,
}

/// Why claims were not sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The claims break a rule of `SPEC.md`.
    #[error("the claims are not valid: {0}")]
    Invalid(&'static str),
    /// The operating system gave no random bytes for the nonce.
    #[error("no random bytes")]
    Random,
    /// The token would be longer than [`MAX_TOKEN_LEN`](crate::MAX_TOKEN_LEN).
    #[error("the token would be longer than 8 KiB")]
    TooLong,
}

/// Why a keyring was not read or changed. Never holds key material: keys are named by their place in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Two keys have one `kid`.
    #[error("key {0} has the same kid as a key before it")]
    Duplicate(usize),
    /// A `kid` is not 1 to 32 of `[A-Za-z0-9_-]`.
    #[error("key {0} has a kid that is not 1 to 32 of [A-Za-z0-9_-]")]
    KeyId(usize),
    /// A `root` is not 32 bytes in canonical base64url.
    #[error("key {0} has a root that is not 32 bytes in base64url without padding")]
    Root(usize),
    /// The key seals, and a keyring must have one that does.
    #[error("the key seals new tokens; let another one seal first")]
    Seals,
    /// `seal` names no key of this keyring.
    #[error("`seal` names no key of this keyring")]
    Sealing,
    /// Not TOML, a missing field, or one that a keyring does not have; with the line it is in.
    #[error("line {0} is not TOML, or has a field that a keyring does not have, or lacks one")]
    Syntax(usize),
    /// Another key has this `kid`.
    #[error("the keyring has a key of this kid already")]
    Taken,
    /// No key has this `kid`.
    #[error("the keyring has no key of this kid")]
    Unknown,
}

/// Why a text form was not understood. Says what to write, never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// See [`units::parse_bytes`](crate::units::parse_bytes).
    #[error("a size is a number and B, KiB, MiB or GiB: `64MiB`")]
    Bytes,
    /// See [`units::parse_duration`](crate::units::parse_duration).
    #[error("a duration is a number and ms, s, m, h or d: `5s`, `30d`")]
    Duration,
    /// Not a format of a slot.
    #[error(
        "a format has exactly one {{}} where the value goes, `Bearer {{}}`, or is `basic:USER`, or `hmac-sha256:` and one {{}} for the body's HMAC"
    )]
    Format,
    /// Not a header that a slot may set.
    #[error("a slot sets one header by its name, and none that frames or routes the request")]
    Header,
    /// Not a host.
    #[error(
        "a host is a name of letters, digits and hyphens (xn-- for others), an IPv4 address, [IPv6], or *.NAME"
    )]
    Host,
    /// Not a key id.
    #[error("a key id is 1 to 32 of [A-Za-z0-9_-]")]
    KeyId,
    /// Not a limit.
    #[error("a limit is cpu, wall, memory, request, response, calls, log or rate")]
    LimitName,
    /// Not a link id.
    #[error("a link id is 32 hexadecimal digits in lower case")]
    LinkId,
    /// Not a list of methods.
    #[error(
        "methods come first, in upper case: `GET,POST https://api.example.com/v1/*`, or `*` for any"
    )]
    Method,
    /// Not a number.
    #[error("a whole number is expected")]
    Number,
    /// Not a path, or not one that can be matched safely.
    #[error(
        "a path begins with /, has * only at its end, and nothing that servers read in different ways: no //, no segment of dots, no \\, ? or #, and no escape of these, of ; or % or of control characters"
    )]
    Path,
    /// Not a port.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// Not `http://` or `https://`.
    #[error("an origin begins with https:// or http://")]
    Scheme,
    /// Not a slot.
    #[error(
        "a slot is `METHOD URL HEADER: FORMAT`: `POST https://api.example.com/v1/pay authorization: Bearer {{}}`"
    )]
    Slot,
    /// A slot with a wildcard host.
    #[error("a slot names one host, not *.NAME: whoever gets a name below it would get the secret")]
    WildcardSlot,
}
