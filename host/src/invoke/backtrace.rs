//! Where in its own code a guest failed, for its author: function names, and source lines where the component
//! has debug information.
//!
//! Names are the guest's: bounded here, masked and escaped by the log that they go to.

use std::fmt::{self, Write as _};

use wasmtime::{FrameInfo, WasmBacktrace};

use crate::lines::Lines;

/// Bytes of one name.
const NAME: usize = 120;
/// Bytes of all. The engine keeps 20 frames.
const ALL: usize = 4 << 10;

/// The frames where the guest failed, innermost first: `function (file:line:column) < …`. None if it was not
/// running.
pub(super) fn shown(error: &wasmtime::Error, lines: &Lines) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let offsets: Vec<_> = frames.iter().map(FrameInfo::module_offset).collect();
    let places = lines.places(&offsets);
    let mut shown = Bounded::new(ALL);
    for (frame, place) in frames.iter().zip(places) {
        if write_frame(&mut shown, frame, place).is_err() {
            shown.text.push('…');
            break;
        }
    }
    (!frames.is_empty()).then_some(shown.text)
}

fn write_frame(to: &mut Bounded, frame: &FrameInfo, place: Option<String>) -> fmt::Result {
    if !to.text.is_empty() {
        to.write_str(" < ")?;
    }
    match frame.func_name() {
        None => write!(to, "function {}", frame.func_index())?,
        Some(name) => {
            let mut readable = Bounded::new(NAME);
            // Stops where it is full: a mangled name can stand for far more than its own length.
            let _ = write!(readable, "{:#}", rustc_demangle::demangle(name));
            to.write_str(&readable.text)?;
        }
    }
    match (place, frame.module_offset()) {
        (Some(place), _) => write!(to, " ({place})"),
        // What tools want where the component has no debug information.
        (None, Some(offset)) => write!(to, " (+{offset:#x})"),
        (None, None) => Ok(()),
    }
}

/// The beginning of a text: what is more is an error, and stops whoever writes.
pub(super) struct Bounded {
    pub(super) text: String,
    most: usize,
}

impl Bounded {
    pub(super) fn new(most: usize) -> Self {
        let text = String::new();
        Self { text, most }
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = self.most.saturating_sub(self.text.len());
        let fits = text.floor_char_boundary(left.min(text.len()));
        self.text.push_str(text.get(..fits).unwrap_or_default());
        match fits < text.len() {
            true => Err(fmt::Error),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_a_character_ends() {
        let mut name = Bounded::new(5);
        assert!(name.write_str("é").is_ok());
        assert!(name.write_str("éé").is_err());
        assert_eq!(name.text, "éé");
    }
}
