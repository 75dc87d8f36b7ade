//! Secrets: text that must not stay behind, nor be shown.

use std::fmt;

use zeroize::Zeroizing;

use crate::Slot;

/// A secret and where it may go.
#[derive(Clone, Debug)]
pub struct SecretClaim {
    /// The value.
    pub value: Secret,
    /// None: *readable*, the guest gets the value. Some: *bound*, only the host writes it, only there.
    pub slots: Vec<Slot>,
}

/// Text that is wiped from memory when it is dropped, and that no format shows.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over; no copy of it stays behind.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The text. Where this is called is where a secret can leak.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}
