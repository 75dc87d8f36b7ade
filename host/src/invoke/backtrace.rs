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

/// Paths of what an author did not write: Rust's own libraries, and packages of a registry.
const OTHERS: [&str; 3] = ["library/", "/rustc/", "/registry/src/"];

/// The frames where the guest failed, innermost first: `function (file:line:column) < …`.
pub(super) struct Backtrace {
    pub(super) all: String,
    /// Those of the author's own files, if there are any and others as well: a panic has ten frames of the language
    /// before the first of these.
    pub(super) own: Option<String>,
}

/// Where the guest failed; none if it was not running.
pub(super) fn of(error: &wasmtime::Error, lines: &Lines) -> Option<Backtrace> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let offsets: Vec<_> = frames.iter().map(FrameInfo::module_offset).collect();
    let places = lines.places(&offsets);
    let all: Vec<_> = frames.iter().zip(&places).collect();
    let own: Vec<_> = all
        .iter()
        .copied()
        .filter(|(_, place)| is_own(place))
        .collect();
    let is_less = !own.is_empty() && own.len() < all.len();
    (!frames.is_empty()).then(|| Backtrace {
        own: is_less.then(|| shown(&own)),
        all: shown(&all),
    })
}

fn is_own(place: &Option<String>) -> bool {
    let foreign = |place: &String| {
        let mut others = OTHERS.iter();
        // A path is cut at its beginning, and so one of these may stand anywhere.
        others.any(|other| {
            place.starts_with(other) || (other.starts_with('/') && place.contains(other))
        })
    };
    place.as_ref().is_some_and(|place| !foreign(place))
}

fn shown(frames: &[(&FrameInfo, &Option<String>)]) -> String {
    let mut shown = Bounded::new(ALL);
    for (frame, place) in frames {
        if write_frame(&mut shown, frame, place.as_deref()).is_err() {
            shown.text.push('…');
            break;
        }
    }
    shown.text
}

fn write_frame(to: &mut Bounded, frame: &FrameInfo, place: Option<&str>) -> fmt::Result {
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
    fn an_authors_files_are_told_from_those_of_the_language_and_of_packages() {
        for (place, own) in [
            ("src/main.rs:12:5", true),
            ("tests/guests/src/bin/mistakes.rs:33:30", true),
            ("/home/a/orders/src/library.rs:1:1", true),
            ("library/std/src/process.rs:2533:5", false),
            ("/rustc/5980/library/core/src/option.rs:971:21", false),
            (
                "/home/a/.cargo/registry/src/index-1/bytes-1.0.0/src/lib.rs:98:9",
                false,
            ),
        ] {
            assert_eq!(is_own(&Some(place.to_owned())), own, "{place}");
        }
        assert!(!is_own(&None));
    }

    #[test]
    fn a_text_is_cut_where_a_character_ends() {
        let mut name = Bounded::new(5);
        assert!(name.write_str("é").is_ok());
        assert!(name.write_str("éé").is_err());
        assert_eq!(name.text, "éé");
    }
}
