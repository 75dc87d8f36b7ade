//! An event of a live log as an author reads it: one line, safe for a terminal.

use std::fmt::Write as _;

use serde::Deserialize;
use webtask_host::printable;

/// Bytes of a text that are shown; the runtime's own limit of a line is 8 KiB.
const MOST: usize = 64 << 10;

/// A line of a guest, or of the host to its author; or the end of an invocation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    time: String,
    level: String,
    pub(crate) request_id: String,
    context: String,
    message: String,
    method: String,
    status: u16,
    code: String,
    ms: f64,
    pub(crate) open_ms: f64,
    pub(crate) load_ms: f64,
    pub(crate) instantiate_ms: f64,
    pub(crate) run_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) memory: u64,
    limits: Option<String>,
}

/// Data of the event `dropped`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dropped {
    count: Option<u64>,
    because: String,
}

impl Dropped {
    /// What to say of it.
    pub(super) fn text(&self) -> String {
        let lines = match self.count {
            Some(1) => "1 line is missing".to_owned(),
            Some(count) => format!("{count} lines are missing"),
            None => "lines may be missing, nobody knows how many".to_owned(),
        };
        let because = match self.because.as_str() {
            "history" => "they had gone out of the runtime's history",
            "restart" => "the runtime is another process than before",
            "slow-reader" => "they came faster than they were read",
            other => other,
        };
        printable(&format!("{lines}: {because}"), MOST)
    }
}

/// Whether lines have colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Colours {
    No,
    Yes,
}

impl Colours {
    /// On a terminal, unless the environment says no (no-color.org).
    pub(crate) fn of(terminal: bool, environment: impl Fn(&str) -> Option<String>) -> Self {
        let no = environment("NO_COLOR").is_some_and(|no| !no.is_empty());
        let dumb = environment("TERM").is_some_and(|term| term == "dumb");
        match terminal && !no && !dumb {
            true => Self::Yes,
            false => Self::No,
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::No => text.to_owned(),
            Self::Yes => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

impl Line {
    /// `22:50:01.123 INFO  00002f stdout: a line`, with a line break.
    pub(crate) fn shown(&self, colours: Colours) -> String {
        // Whoever answers need not be a runtime: nothing that it says reaches a terminal as it is.
        let plain = |text: &str| printable(text, MOST);
        let level = plain(&self.level).to_uppercase();
        let level = format!("{level:<5}");
        let level = match self.level.as_str() {
            "error" => colours.paint("31", &level),
            "warn" => colours.paint("33", &level),
            "info" => colours.paint("32", &level),
            _ => colours.paint("2", &level),
        };
        let time = self
            .time
            .split_once('T')
            .map_or(&*self.time, |(_, time)| time);
        let time = colours.paint("2", &plain(time.trim_end_matches('Z')));
        let id = self.request_id.rsplit('-').next().unwrap_or_default();
        let id = colours.paint("2", &plain(id));
        let text = match self.code.is_empty() {
            true if self.context.is_empty() => plain(&self.message),
            true => format!("{}: {}", plain(&self.context), plain(&self.message)),
            false => self.end(),
        };
        format!("{time} {level} {id} {text}\n")
    }

    fn end(&self) -> String {
        let mut text = format!(
            "{} {} {} in {} (cpu {}, memory {})",
            self.method,
            self.status,
            self.code,
            millis(self.ms),
            millis(self.cpu_ms),
            mebibytes(self.memory)
        );
        if let Some(limits) = &self.limits {
            // Writing to a String cannot fail.
            let _ = write!(text, ", limits met: {limits}");
        }
        printable(&text, MOST)
    }
}

/// As many digits as mean anything.
pub(crate) fn millis(ms: f64) -> String {
    match ms {
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 10.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.2} ms"),
    }
}

pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Line {
        serde_json::from_str(json).expect("a line")
    }

    #[test]
    fn a_line_is_short_and_cannot_reach_the_terminal() {
        let said = line(
            r#"{"time":"2026-11-25T22:50:01.123Z","level":"warn","request_id":"1a2b3c4d-00002f",
                "token_id":"x","context":"stderr\u001b[2J","message":"a\u001b]0;x\u0007b\u202e\r\nc"}"#,
        );
        let shown = said.shown(Colours::No);
        assert!(
            shown.starts_with("22:50:01.123 WARN  00002f stderr"),
            "{shown:?}"
        );
        let text = shown.trim_end_matches('\n');
        assert!(
            text.len() + 1 == shown.len() && !text.contains('\n'),
            "{shown:?}"
        );
        assert!(!text.chars().any(char::is_control), "{shown:?}");
        assert!(!text.contains('\u{202e}'), "{shown:?}");
        let coloured = said.shown(Colours::Yes);
        assert!(
            coloured.contains("\u{1b}[33mWARN \u{1b}[0m"),
            "{coloured:?}"
        );
    }

    #[test]
    fn the_end_of_an_invocation_is_one_line() {
        let ended = line(
            r#"{"time":"2026-11-25T22:50:01.123Z","level":"error","request_id":"1-2","method":"GET","status":504,
                "code":"guest-cpu","ms":2003.4,"cpu_ms":2001.5,"memory":2097152,"limits":"cpu"}"#,
        );
        assert_eq!(
            ended.shown(Colours::No),
            "22:50:01.123 ERROR 2 GET 504 guest-cpu in 2003 ms (cpu 2002 ms, memory 2.0 MiB), limits met: cpu\n"
        );
    }

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        let environment = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            }
        };
        assert_eq!(Colours::of(true, environment(&[])), Colours::Yes);
        assert_eq!(Colours::of(false, environment(&[])), Colours::No);
        assert_eq!(
            Colours::of(true, environment(&[("NO_COLOR", "1")])),
            Colours::No
        );
        assert_eq!(
            Colours::of(true, environment(&[("NO_COLOR", "")])),
            Colours::Yes
        );
        assert_eq!(
            Colours::of(true, environment(&[("TERM", "dumb")])),
            Colours::No
        );
    }

    #[test]
    fn a_gap_is_told_in_words() {
        let text = |json: &str| {
            let dropped: Dropped = serde_json::from_str(json).expect("a gap");
            dropped.text()
        };
        assert!(
            text(r#"{"count":3,"because":"slow-reader"}"#).starts_with("3 lines are missing: ")
        );
        assert!(text(r#"{"count":null,"because":"restart"}"#).contains("nobody knows how many"));
    }
}
