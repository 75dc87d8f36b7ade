//! Finds bound secrets in what an origin sends back, in pieces of any size, in constant memory.
//!
//! Knows bytes only; must not know HTTP, and what a caller does about a find.

mod automaton;
mod cursor;
mod escape;
mod forms;

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use webtask_token::{Format, SecretClaim};

use automaton::{Automaton, Next, State};
use cursor::Cursor;
pub use forms::SHORTEST;

/// All forms of some secrets, ready to be searched for at once. Costs time and memory in proportion to them, which
/// are bounded: make it once for many responses.
pub struct Search {
    automaton: Automaton,
    /// Secrets' names, in the order of the automaton's owners.
    names: Vec<Arc<str>>,
    /// Bytes of the longest form.
    longest: usize,
    /// Bytes that stand in no form whatever the secret is: control characters. What is before one is no
    /// beginning of a form that goes on after it.
    breaks: [bool; 256],
    /// Bytes that a form or an escape may begin with, and those that break.
    begins: [bool; 256],
}

/// The secrets cannot be searched for: they are far more than any token has.
#[derive(Debug, thiserror::Error)]
#[error("the bound secrets are too many to be searched for")]
pub struct TooMany;

/// A secret stands in the bytes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes hold the bound secret {name}")]
pub struct Found {
    /// The secret's name.
    pub name: Arc<str>,
}

impl Search {
    /// A search for the bound ones of `secrets`: their values, and what `basic:` makes of them.
    ///
    /// # Errors
    /// If they are more than some hundreds.
    pub fn new(secrets: &BTreeMap<String, SecretClaim>) -> Result<Self, TooMany> {
        let bound = || {
            secrets
                .iter()
                .filter(|(_, secret)| !secret.slots.is_empty())
        };
        let names = bound().map(|(name, _)| name.as_str().into()).collect();
        let (mut most, mut patterns) = (BEGINNING, Vec::new());
        let automaton = loop {
            patterns.clear();
            for (owner, (_, secret)) in (0..).zip(bound()) {
                let forms = forms_of(secret, most).into_iter();
                patterns.extend(forms.map(|form| (form, owner)));
            }
            match Automaton::new(&patterns) {
                Some(automaton) => break automaton,
                None if most / 2 >= SHORTEST => most /= 2,
                None => return Err(TooMany),
            }
        };
        let mut breaks = [false; 256];
        for (byte, breaks) in (0..=u8::MAX).zip(&mut breaks) {
            *breaks = byte.is_ascii_control();
        }
        for byte in patterns.iter().flat_map(|(pattern, _)| pattern) {
            if let Some(breaks) = breaks.get_mut(usize::from(*byte)) {
                *breaks = false;
            }
        }
        let mut begins = [false; 256];
        for (byte, begins) in (0..=u8::MAX).zip(&mut begins) {
            *begins = byte.is_ascii_control() || escape::begins(byte) || automaton.leaves(byte);
        }
        let lengths = patterns.iter().map(|(pattern, _)| pattern.len());
        Ok(Self {
            longest: lengths.max().unwrap_or_default(),
            automaton,
            names,
            breaks,
            begins,
        })
    }

    /// Searches bytes that are whole, such as a header's value.
    ///
    /// # Errors
    /// If a form of a secret stands in them, escaped or not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Found> {
        Cursor::new().step(self, bytes)
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.automaton.memory()
    }

    /// Whether a form or an escape may begin with the byte, or none goes on after it.
    fn begins(&self, byte: u8) -> bool {
        self.begins.get(usize::from(byte)) == Some(&true)
    }

    /// Whether a form may begin with the byte.
    fn leaves(&self, byte: u8) -> bool {
        self.automaton.leaves(byte)
    }

    fn covers(&self, state: State, other: State) -> bool {
        self.automaton.covers(state, other)
    }

    fn breaks(&self, byte: u8) -> bool {
        self.breaks.get(usize::from(byte)) == Some(&true)
    }

    fn next(&self, state: State, byte: u8) -> Result<State, Found> {
        match self.automaton.next(state, byte) {
            Next::State(state) => Ok(state),
            Next::Match(owner) => {
                let name = self.names.get(usize::from(owner)).cloned();
                Err(Found {
                    name: name.unwrap_or_else(|| "".into()),
                })
            }
        }
    }

    /// The most bytes that are held back.
    fn most_held(&self) -> usize {
        ESCAPED.saturating_mul(self.longest).saturating_sub(1)
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Search({} secrets)", self.names.len())
    }
}

/// Bytes of a text that are searched: who sends a longer one back sends its beginning back. Fewer of each where
/// the secrets are many, which bounds what a search costs.
const BEGINNING: usize = 256;

/// Bytes that two layers of escaping make of one, where the outer leaves letters and digits: 21 for
/// `\u005Cx\u007B2d\u007D`.
const ESCAPED: usize = 24;

/// What an origin learns of a bound secret, in all forms: the value, and the credentials that hold it in base64.
/// Of the value `most` bytes.
fn forms_of(secret: &SecretClaim, most: usize) -> Vec<Vec<u8>> {
    let value = secret.value.expose();
    let value = value
        .get(..value.floor_char_boundary(most))
        .unwrap_or(value);
    let mut slots = secret.slots.iter();
    match slots.any(|slot| matches!(slot.format, Format::Basic { .. })) {
        true => forms::of_credential(value),
        false => forms::of(value),
    }
}

/// One stream that is searched as it passes.
pub struct Scan {
    search: Arc<Search>,
    cursor: Cursor,
    /// The end of what came, which may be the beginning of a form: bounded by the longest one, escaped.
    held: BytesMut,
}

impl Scan {
    /// A scan that has seen nothing yet.
    #[must_use]
    pub fn new(search: Arc<Search>) -> Self {
        Self {
            cursor: Cursor::new(),
            search,
            held: BytesMut::new(),
        }
    }

    /// Takes what came next, and gives what may be passed on: maybe nothing, never a byte of a form.
    ///
    /// What is held back depends on these bytes and on how long the secrets are, not on what they are: bytes that
    /// are held back only when they begin like the secret would tell whoever sees that what it begins with.
    ///
    /// # Errors
    /// If a form ends in these bytes. What was held back then goes nowhere, and the scan is over.
    pub fn push(&mut self, bytes: Bytes) -> Result<Bytes, Found> {
        self.cursor.step(&self.search, &bytes)?;
        let most = self.search.most_held();
        let all = self.held.len().saturating_add(bytes.len());
        let pass = all.saturating_sub(self.cursor.open().min(most));
        if let Some(whole) = pass.checked_sub(self.held.len())
            && bytes.len() > most
        {
            // A copy of the rest: a slice of it would keep the whole piece in memory.
            let rest = bytes.slice(whole..);
            let mut out = std::mem::replace(&mut self.held, BytesMut::from(&rest[..]));
            if out.is_empty() {
                return Ok(bytes.slice(..whole));
            }
            out.extend_from_slice(&bytes.slice(..whole));
            return Ok(out.freeze());
        }
        // Room for as much again as may be held: however small the pieces are, each byte is moved about once.
        if self.held.capacity() < all {
            let room = most.saturating_mul(2).saturating_add(bytes.len());
            self.held.reserve(room);
        }
        self.held.extend_from_slice(&bytes);
        Ok(self.held.split_to(pass).freeze())
    }

    /// The stream has ended: what was held back is the beginning of nothing.
    pub fn end(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({} bytes held)", self.held.len())
    }
}

#[cfg(test)]
mod tests;
