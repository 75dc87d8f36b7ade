//! Finds bound secrets in what an origin sends back, in pieces of any size, in constant memory.
//!
//! Knows bytes only; must not know HTTP, and what a caller does about a find.

mod cursor;
mod forms;

use std::{collections::BTreeMap, fmt, sync::Arc};

use aho_corasick::{
    Anchored,
    automaton::{Automaton as _, StateID},
    nfa::contiguous::NFA,
};
use bytes::{Bytes, BytesMut};
use webtask_token::{Format, Secret, SecretClaim};

use cursor::Cursor;
pub use forms::SHORTEST;

/// All forms of some secrets, ready to be searched for at once. Costs time and memory in proportion to them:
/// make it once for many responses.
pub struct Search {
    automaton: NFA,
    start: StateID,
    /// Whose each form is, in the order of the automaton's patterns.
    owners: Vec<Arc<str>>,
    /// Bytes of the longest form.
    longest: usize,
    /// Bytes that stand in no form whatever the secret is: control characters. What is before one is no
    /// beginning of a form that goes on after it.
    breaks: [bool; 256],
    /// Bytes that a form may begin with, and the percent sign.
    begins: [bool; 256],
}

/// The secrets cannot be searched for: they are far longer than any token.
#[derive(Debug, thiserror::Error)]
#[error("the bound secrets are too long to be searched for")]
pub struct TooLong;

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
    /// If their forms are of more than two thousand million bytes.
    pub fn new(secrets: &BTreeMap<String, SecretClaim>) -> Result<Self, TooLong> {
        let (mut patterns, mut owners) = (Vec::new(), Vec::new());
        for (name, secret) in secrets {
            let name: Arc<str> = name.as_str().into();
            for text in texts(secret) {
                let forms = forms::of(text.expose());
                owners.resize(owners.len() + forms.len(), name.clone());
                patterns.extend(forms);
            }
        }
        let mut breaks = [false; 256];
        for (byte, breaks) in (0..=u8::MAX).zip(&mut breaks) {
            *breaks = byte.is_ascii_control();
        }
        for byte in patterns.iter().flatten() {
            if let Some(breaks) = breaks.get_mut(usize::from(*byte)) {
                *breaks = false;
            }
        }
        let automaton = NFA::builder()
            .ascii_case_insensitive(true)
            .build(&patterns)
            .map_err(|_| TooLong)?;
        let start = automaton.start_state(Anchored::No).map_err(|_| TooLong)?;
        let mut begins = [false; 256];
        for (byte, begins) in (0..=u8::MAX).zip(&mut begins) {
            *begins = byte == b'%' || automaton.next_state(Anchored::No, start, byte) != start;
        }
        Ok(Self {
            start,
            begins,
            longest: patterns.iter().map(Vec::len).max().unwrap_or_default(),
            automaton,
            owners,
            breaks,
        })
    }

    /// Searches bytes that are whole, such as a header's value.
    ///
    /// # Errors
    /// If a form of a secret stands in them, percent-encoded or not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Found> {
        Cursor::new(self.start).step(self, bytes)
    }

    /// Whether the byte leads away from the start.
    fn leaves(&self, byte: u8) -> bool {
        self.begins.get(usize::from(byte)) == Some(&true)
    }

    fn next(&self, state: StateID, byte: u8) -> Result<StateID, Found> {
        let state = self.automaton.next_state(Anchored::No, state, byte);
        if self.automaton.is_special(state) && self.automaton.is_match(state) {
            let pattern = self.automaton.match_pattern(state, 0).as_usize();
            let name = self.owners.get(pattern).cloned();
            return Err(Found {
                name: name.unwrap_or_else(|| "".into()),
            });
        }
        Ok(state)
    }

    /// How many bytes at the end of `bytes` may be the beginning of a form of *some* secret as long as these.
    ///
    /// Not of these very secrets: bytes that are held back only when they begin like the secret would tell
    /// whoever sees that what it begins with.
    fn open(&self, bytes: &[u8]) -> usize {
        // Percent-encoded, a byte is three.
        let most = (3 * self.longest).saturating_sub(1);
        let breaks = |byte: &u8| self.breaks.get(usize::from(*byte)) == Some(&true);
        let open = bytes.iter().rev().take(most).position(breaks);
        open.unwrap_or(most.min(bytes.len()))
    }
}

impl fmt::Debug for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Search({} forms)", self.owners.len())
    }
}

/// Bytes of a text that are searched: who sends a longer one back sends its beginning back. Bounds what a
/// search costs.
const BEGINNING: usize = 256;

/// What an origin learns of a bound secret: the value, and the credentials that hold it in base64, where
/// escaping and percent-encoding change it again. Of each the beginning.
fn texts(secret: &SecretClaim) -> Vec<Secret> {
    let mut texts = Vec::new();
    if !secret.slots.is_empty() {
        texts.push(beginning(secret.value.expose()));
    }
    for slot in &secret.slots {
        if let Format::Basic { .. } = slot.format {
            let header = slot.format.render(&secret.value, b"");
            let credential = header.expose().trim_start_matches("Basic ");
            texts.push(beginning(credential));
        }
    }
    texts
}

fn beginning(text: &str) -> Secret {
    let end = text.floor_char_boundary(BEGINNING);
    Secret::new(text.get(..end).unwrap_or(text).to_owned())
}

/// One stream that is searched as it passes.
pub struct Scan {
    search: Arc<Search>,
    cursor: Cursor,
    /// The end of what came, which may be the beginning of a form: shorter than the longest form, percent-encoded.
    held: Bytes,
}

impl Scan {
    /// A scan that has seen nothing yet.
    #[must_use]
    pub fn new(search: Arc<Search>) -> Self {
        Self {
            cursor: Cursor::new(search.start),
            search,
            held: Bytes::new(),
        }
    }

    /// Takes what came next, and gives what may be passed on: maybe nothing, never a byte of a form.
    ///
    /// # Errors
    /// If a form ends in these bytes. What was held back then goes nowhere, and the scan is over.
    pub fn push(&mut self, bytes: Bytes) -> Result<Bytes, Found> {
        self.cursor.step(&self.search, &bytes)?;
        let mut all = if self.held.is_empty() {
            bytes
        } else {
            let mut joined = BytesMut::with_capacity(self.held.len() + bytes.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&bytes);
            joined.freeze()
        };
        // A copy: a slice of a few bytes would keep the whole piece in memory.
        let held = all.split_off(all.len() - self.search.open(&all));
        self.held = Bytes::copy_from_slice(&held);
        Ok(all)
    }

    /// The stream has ended: what was held back is the beginning of nothing.
    pub fn end(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan({} bytes held)", self.held.len())
    }
}

#[cfg(test)]
mod tests;
