//! Names of keys and of links. Both are public: they may be logged.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::ParseError;

/// The public name of a key: 1 to 32 of `[A-Za-z0-9_-]`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(String);

impl KeyId {
    /// True if this can be the name of a key.
    pub(crate) fn fits(text: &str) -> bool {
        let byte = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        (1..=32).contains(&text.len()) && text.bytes().all(byte)
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Eight hexadecimal digits.
    pub(crate) fn random(bytes: [u8; 4]) -> Self {
        Self(format!("{:08x}", u32::from_be_bytes(bytes)))
    }
}

impl FromStr for KeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if Self::fits(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::KeyId)
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public name of one link of a token: what it was when it was sealed, or after one caveat.
///
/// `SHA-256("webtask/v1/id" ‖ tail)`, first 16 bytes. Revoking it revokes all that was derived from it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkId([u8; 16]);

impl LinkId {
    /// The id of the link that ends in `tail`.
    pub(crate) fn of(tail: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"webtask/v1/id")
            .chain_update(tail)
            .finalize()
            .into();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = digest;
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// The 16 bytes of it.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for LinkId {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl FromStr for LinkId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match u128::from_str_radix(text, 16) {
            Ok(id) if digits && text.len() == 32 => Ok(Self(id.to_be_bytes())),
            _ => Err(ParseError::LinkId),
        }
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEXLOWER.encode_mut_str(&self.0, &mut [0; 32]))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id = LinkId::of(&[7; 32]);
        assert_eq!(id.to_string().parse::<LinkId>().unwrap(), id);
        for text in [
            "",
            "0",
            &id.to_string().to_uppercase(),
            &format!("+{}", "0".repeat(31)),
            &"0".repeat(33),
        ] {
            assert_eq!(text.parse::<LinkId>(), Err(ParseError::LinkId), "{text}");
        }
        for text in ["", "a b", "a.b", "ü", &"a".repeat(33)] {
            assert_eq!(text.parse::<KeyId>(), Err(ParseError::KeyId), "{text}");
        }
        assert_eq!("k-1_A".parse::<KeyId>().unwrap().to_string(), "k-1_A");
    }
}
