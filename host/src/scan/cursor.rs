//! Where a search stands: in the bytes as they are, and in what they are when escapes are undone, in two layers.
//!
//! Every byte that may begin an escape is taken in both ways, in each layer, so what stands before a text hides
//! none of it. What is read in one way is one [`Reading`]; there are few at a time, mostly none but the plain one.

use super::{
    Found, Search,
    automaton::{START, State},
    escape::{Escape, Meaning, Step, begins},
};

/// Readings beside the plain one. More than there can be of what escapers write; what a text that is made for it
/// has beyond is not followed.
pub(super) const READINGS: usize = 32;

/// Bytes of a line that may have been broken for its length: encoders break at 60 and more. Shorter lines are whole,
/// and pass at once.
const WRAPPED: usize = 48;

pub(super) struct Cursor {
    plain: State,
    readings: Vec<Reading>,
    /// For the readings of the next byte.
    next: Vec<Reading>,
    last: u8,
    line: Line,
    /// Bytes of the line so far.
    width: usize,
    /// Bytes since the last that no text goes on after.
    open: usize,
}

/// One way of taking the bytes so far.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Reading {
    outer: Escape,
    /// Of the bytes that the outer layer gives.
    inner: Escape,
    state: State,
}

/// Where in a line break inside of a text.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Line {
    None,
    /// After the carriage return.
    Return,
    /// After all of it, maybe in the blanks that the next line begins with.
    Break,
}

impl Cursor {
    pub(super) fn new() -> Self {
        Self {
            plain: START,
            readings: Vec::new(),
            next: Vec::new(),
            last: 0,
            line: Line::None,
            width: 0,
            open: 0,
        }
    }

    /// How many of the last bytes may belong to a text that goes on.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// How many readings there are beside the plain one.
    #[cfg(test)]
    pub(super) fn readings(&self) -> usize {
        self.readings.len()
    }

    /// Goes on over `bytes`.
    pub(super) fn step(&mut self, search: &Search, bytes: &[u8]) -> Result<(), Found> {
        let mut rest = bytes;
        loop {
            if self.idle() {
                // Most bytes begin nothing.
                let skipped = rest.iter().position(|byte| search.begins(*byte));
                let (skipped, from) = rest.split_at(skipped.unwrap_or(rest.len()));
                self.open = self.open.saturating_add(skipped.len());
                self.width = self.width.saturating_add(skipped.len());
                self.last = skipped.last().copied().unwrap_or(self.last);
                rest = from;
            }
            let Some((byte, from)) = rest.split_first() else {
                return Ok(());
            };
            rest = from;
            if self.idle()
                && from
                    .first()
                    .is_some_and(|next| passes(search, *byte, *next))
            {
                self.open = self.open.saturating_add(1);
                self.width = self.width.saturating_add(1);
                self.last = *byte;
                continue;
            }
            if self.breaks(search, *byte) {
                self.plain = START;
                self.readings.clear();
                self.open = 0;
            } else {
                self.open = self.open.saturating_add(1);
                self.read(search, *byte)?;
            }
            self.last = *byte;
        }
    }

    fn idle(&self) -> bool {
        self.plain == START && self.line == Line::None && self.readings.is_empty()
    }

    /// Whether no text goes on after the byte: a control character, but for line breaks after what ends a line that
    /// goes on, and after what lines of encoded texts end with if they are long. It must not depend on what is searched for: what is before a break passes at once.
    fn breaks(&mut self, search: &Search, byte: u8) -> bool {
        let wraps = match self.last {
            b'=' | b'\\' => true,
            last => {
                self.width >= WRAPPED && (last.is_ascii_alphanumeric() || b"+/-_".contains(&last))
            }
        };
        self.width = match byte {
            b'\r' | b'\n' => 0,
            _ => self.width.saturating_add(1),
        };
        self.line = match (self.line, byte) {
            (Line::None, b'\r') if wraps => Line::Return,
            (Line::None, b'\n') if wraps => Line::Break,
            (Line::Return, b'\n') => Line::Break,
            (Line::Return | Line::Break, b' ' | b'\t') => Line::Break,
            _ => Line::None,
        };
        self.line == Line::None && search.breaks(byte)
    }

    fn read(&mut self, search: &Search, byte: u8) -> Result<(), Found> {
        let before = self.plain;
        self.plain = search.next(before, byte)?;
        let plain = Reading {
            outer: Escape::None,
            inner: Escape::None,
            state: before,
        };
        // Most of the time there is nothing to undo, or one escape.
        match self.readings[..] {
            [] if !begins(byte) => return Ok(()),
            [] if !byte.is_ascii_control() => {
                let begun = Escape::None.step(byte).goes_on;
                let begun = begun.map(|outer| Reading { outer, ..plain });
                self.readings.extend(begun);
                return Ok(());
            }
            [reading] if !begins(byte) => {
                if let Some(left) = self.follow_one(search, reading, byte)? {
                    self.readings.clear();
                    self.readings.extend(left);
                    return Ok(());
                }
            }
            _ => {}
        }
        let mut readings = std::mem::take(&mut self.readings);
        for reading in readings.drain(..).chain([plain]) {
            self.follow(search, reading, byte)?;
        }
        self.readings = std::mem::replace(&mut self.next, readings);
        Ok(())
    }

    /// What is left of the only reading, which the usual escape is, if that is at most one again: the same as
    /// [`Self::follow`], in less time.
    fn follow_one(
        &self,
        search: &Search,
        reading: Reading,
        byte: u8,
    ) -> Result<Option<Option<Reading>>, Found> {
        let of_outer = reading.inner == Escape::None;
        let in_place = |escape| match of_outer {
            true => Reading {
                outer: escape,
                ..reading
            },
            false => Reading {
                inner: escape,
                ..reading
            },
        };
        let (byte, goes_on) = match (reading.outer, reading.inner) {
            (Escape::None, Escape::None) => (byte, None),
            (escape, Escape::None) | (Escape::None, escape) => {
                let step = escape.step(byte);
                let goes_on = step.goes_on.map(in_place);
                match step.stands_for {
                    None => return Ok(Some(goes_on)),
                    Some(Meaning::Byte(byte)) => (byte, goes_on),
                    Some(Meaning::Char(number @ ..0x80)) => (number as u8, goes_on),
                    Some(_) => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let state = search.next(reading.state, byte)?;
        let plain = search.covers(self.plain, state);
        let read = Reading {
            outer: Escape::None,
            inner: Escape::None,
            state,
        };
        Ok(match (plain, goes_on) {
            _ if of_outer && begins(byte) => match goes_on {
                // The outer layer gave what begins an escape of the inner one.
                None if plain && !byte.is_ascii_control() => {
                    let begun = Escape::None.step(byte).goes_on;
                    Some(begun.map(|inner| Reading {
                        inner,
                        state: reading.state,
                        ..read
                    }))
                }
                _ => None,
            },
            (true, goes_on) => Some(goes_on),
            (false, None) => Some(Some(read)),
            (false, Some(_)) => None,
        })
    }

    /// Takes a byte in all ways after one reading.
    fn follow(&mut self, search: &Search, reading: Reading, byte: u8) -> Result<(), Found> {
        let after = Reading {
            outer: Escape::None,
            ..reading
        };
        match (reading.outer, reading.inner) {
            // An escape that begins here is the outer layer's so far.
            (Escape::None, Escape::None) => {
                let state = search.next(reading.state, byte)?;
                self.keep(search, Reading { state, ..after });
            }
            (Escape::None, _) => self.unescaped(search, after, byte)?,
            // It is the inner one's if the outer undoes something within it.
            (inner, Escape::None) if begins(byte) => {
                self.undo(search, Reading { inner, ..after }, byte)?;
            }
            _ => {}
        }
        self.undo(search, reading, byte)
    }

    /// Takes a byte as what begins or goes on with an escape of the outer layer.
    fn undo(&mut self, search: &Search, reading: Reading, byte: u8) -> Result<(), Found> {
        let after = Reading {
            outer: Escape::None,
            ..reading
        };
        let step = reading.outer.step(byte);
        if let Some(outer) = step.goes_on {
            self.keep(search, Reading { outer, ..reading });
        }
        match step.stands_for {
            None => {}
            Some(Meaning::Nothing) => self.keep(search, after),
            Some(Meaning::Byte(byte)) => self.unescaped(search, after, byte)?,
            Some(Meaning::Char(number)) => match u8::try_from(number) {
                Ok(byte) if byte.is_ascii() => self.unescaped(search, after, byte)?,
                // No escape has such a character in it.
                _ if reading.inner == Escape::None => self.text(search, after, number)?,
                _ => {}
            },
        }
        Ok(())
    }

    /// Takes a byte that the outer layer gives in all ways.
    fn unescaped(&mut self, search: &Search, reading: Reading, byte: u8) -> Result<(), Found> {
        let after = Reading {
            inner: Escape::None,
            ..reading
        };
        if reading.inner == Escape::None {
            let state = search.next(reading.state, byte)?;
            self.keep(search, Reading { state, ..after });
        }
        let step = reading.inner.step(byte);
        if let Some(inner) = step.goes_on {
            self.keep(search, Reading { inner, ..reading });
        }
        match step.stands_for {
            None => {}
            Some(Meaning::Nothing) => self.keep(search, after),
            Some(Meaning::Byte(byte)) => {
                let state = search.next(reading.state, byte)?;
                self.keep(search, Reading { state, ..after });
            }
            Some(Meaning::Char(number)) => self.text(search, after, number)?,
        }
        Ok(())
    }

    /// Takes a character as text, in UTF-8.
    fn text(&mut self, search: &Search, mut reading: Reading, number: u32) -> Result<(), Found> {
        let (bytes, length) = utf8(number);
        for byte in bytes.into_iter().take(length) {
            reading.state = search.next(reading.state, byte)?;
        }
        self.keep(search, reading);
        Ok(())
    }

    /// Keeps a reading unless another, or the plain one, finds all that it finds.
    fn keep(&mut self, search: &Search, reading: Reading) {
        let between = |escape| matches!(escape, Escape::None | Escape::Return | Escape::Fold);
        let escapes = (reading.outer, reading.inner);
        let plain = escapes == (Escape::None, Escape::None)
            && search.covers(self.plain, reading.state)
            || reading.state == START && between(reading.outer) && between(reading.inner);
        let room = self.next.len() < READINGS;
        let mut others = self.next.iter_mut();
        let alike = others.find(|other| {
            (other.outer, other.inner) == escapes
                && (search.covers(other.state, reading.state)
                    || search.covers(reading.state, other.state))
        });
        match alike {
            _ if plain => {}
            Some(other) if search.covers(other.state, reading.state) => {}
            Some(other) => *other = reading,
            None if room => self.next.push(reading),
            None => {}
        }
    }
}

/// Whether a text or an escape that matters neither begins with the first of two bytes, nor is both.
fn passes(search: &Search, first: u8, second: u8) -> bool {
    // A line break may be the end of every text.
    if first.is_ascii_control() || search.leaves(first) || begins(second) {
        return false;
    }
    let Some(Step {
        stands_for,
        goes_on: None,
    }) = Escape::None
        .step(first)
        .goes_on
        .map(|begun| begun.step(second))
    else {
        return false;
    };
    match stands_for {
        None => true,
        Some(Meaning::Byte(byte)) => !search.leaves(byte),
        Some(_) => false,
    }
}

/// UTF-8, and what it would be for halves of surrogate pairs.
fn utf8(number: u32) -> ([u8; 4], usize) {
    let last = |shift: u32| 0x80 | (number >> shift & 0x3f) as u8;
    match number {
        ..0x80 => ([number as u8, 0, 0, 0], 1),
        0x80..0x800 => ([0xc0 | (number >> 6) as u8, last(0), 0, 0], 2),
        0x800..0x1_0000 => ([0xe0 | (number >> 12) as u8, last(6), last(0), 0], 3),
        0x1_0000..0x11_0000 => ([0xf0 | (number >> 18) as u8, last(12), last(6), last(0)], 4),
        // No character.
        _ => ([0xff, 0, 0, 0], 1),
    }
}
