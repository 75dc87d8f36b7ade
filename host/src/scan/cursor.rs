//! Where a search stands: in the bytes as they are, and in the bytes with percent-encoding undone.

use aho_corasick::automaton::StateID;

use super::{Found, Search};

/// Two states of one automaton, which are one most of the time.
pub(super) struct Cursor {
    plain: StateID,
    /// None: the same, as no percent sign was among the last bytes.
    decoded: Option<Decoded>,
}

struct Decoded {
    state: StateID,
    escape: Escape,
}

/// How much of an escape has come (RFC 3986 section 2.1).
enum Escape {
    None,
    Percent,
    /// The percent sign and this first digit.
    Digit(u8),
}

impl Cursor {
    pub(super) fn new(start: StateID) -> Self {
        Self {
            plain: start,
            decoded: None,
        }
    }

    /// Goes on over `bytes`.
    pub(super) fn step(&mut self, search: &Search, bytes: &[u8]) -> Result<(), Found> {
        let mut bytes = bytes;
        loop {
            if self.decoded.is_none() && self.plain == search.start {
                // Most bytes begin nothing.
                let next = bytes.iter().position(|byte| search.leaves(*byte));
                bytes = next.and_then(|next| bytes.get(next..)).unwrap_or_default();
            }
            let Some((byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            bytes = rest;
            if *byte == b'%' && self.decoded.is_none() {
                self.decoded = Some(Decoded {
                    state: self.plain,
                    escape: Escape::None,
                });
            }
            self.plain = search.next(self.plain, *byte)?;
            if let Some(decoded) = &mut self.decoded {
                decoded.step(search, *byte)?;
                if decoded.state == self.plain && matches!(decoded.escape, Escape::None) {
                    self.decoded = None;
                }
            }
        }
    }
}

impl Decoded {
    fn step(&mut self, search: &Search, byte: u8) -> Result<(), Found> {
        let digit = char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok());
        match (std::mem::replace(&mut self.escape, Escape::None), digit) {
            (Escape::Percent, Some(_)) => {
                self.escape = Escape::Digit(byte);
                return Ok(());
            }
            (Escape::Digit(first), Some(low)) => {
                let high = char::from(first)
                    .to_digit(16)
                    .and_then(|high| u8::try_from(high).ok());
                self.state = search.next(self.state, high.unwrap_or_default() << 4 | low)?;
                return Ok(());
            }
            // No escape after all.
            (Escape::Percent, None) => self.state = search.next(self.state, b'%')?,
            (Escape::Digit(first), None) => {
                self.state = search.next(self.state, b'%')?;
                self.state = search.next(self.state, first)?;
            }
            (Escape::None, _) => {}
        }
        if byte == b'%' {
            self.escape = Escape::Percent;
        } else {
            self.state = search.next(self.state, byte)?;
        }
        Ok(())
    }
}
