//! The log of `webtask dev`: a line for a person each, of the webtask as it writes them, and of each request at its end.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::IsTerminal as _,
    sync::Arc,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::door::Paths;

/// Whatever the webtask writes, and what is of note of the runtime.
const FILTER: &str = "warn,webtask::access=info,webtask::guest=trace";
/// Between two frames of a backtrace.
const FRAMES: &str = " < ";

/// Starts the log; once in a process.
pub(super) fn start(paths: Arc<Paths>) {
    let filter = EnvFilter::try_from_env("WEBTASK_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .event_format(Lines(paths))
        .init();
}

/// Writes events as lines.
struct Lines(Arc<Paths>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, ansi) = (*event.metadata().level(), to.has_ansi_escapes());
        match event.metadata().target() {
            "webtask::access" => to.write_str(&self.request(&fields, ansi)),
            "webtask::guest" => to.write_str(&said(level, &fields, ansi)),
            _ => to.write_str(&other(level, &fields, ansi)),
        }
    }
}

impl Lines {
    /// `GET /orders/7 200 3.1 ms`, with the code of an answer that is the host's.
    fn request(&self, fields: &Fields, ansi: bool) -> String {
        let path = self.0.take(fields.get("request_id"));
        let path = path.as_deref().unwrap_or("?");
        let (method, status) = (fields.get("method"), fields.get("status"));
        let code = match fields.get("code") {
            "ok" => String::new(),
            code => format!(" {code}"),
        };
        let us: u64 = fields.get("wall_us").parse().unwrap_or_default();
        let (ms, tenths) = (us / 1_000, us / 100 % 10);
        let bold = match status.as_bytes().first() {
            Some(b'2' | b'3') => "32",
            Some(b'4') => "33",
            _ => "31",
        };
        let status = coloured(status, bold, ansi);
        format!("{method} {path} {status}{code} {ms}.{tenths} ms\n")
    }
}

/// A line of the webtask's, or of the host's about it.
fn said(level: Level, fields: &Fields, ansi: bool) -> String {
    let text = fields.get("text");
    if text.is_empty() {
        return String::new();
    }
    let text = match text.strip_prefix("backtrace: ") {
        Some(frames) if fields.get("context") == "webtask" => {
            format!("backtrace:\n      {}", frames.replace(FRAMES, "\n      "))
        }
        _ => text.to_owned(),
    };
    let context = match fields.get("context") {
        "" => String::new(),
        context => format!("{context}: "),
    };
    format!("  {} {context}{text}\n", named(level, ansi))
}

/// Anything else.
fn other(level: Level, fields: &Fields, ansi: bool) -> String {
    // The lines of the webtask say it, and say more.
    if fields.get("message") == "request failed" && fields.get("code").starts_with("guest-") {
        return String::new();
    }
    let mut line = format!("{} {}", named(level, ansi), fields.get("message"));
    for (name, value) in fields
        .0
        .iter()
        .filter(|(name, _)| !matches!(**name, "message" | "request_id"))
    {
        // Writing to a String cannot fail.
        let _ = write!(line, ", {name} {value}");
    }
    line.push('\n');
    line
}

fn named(level: Level, ansi: bool) -> String {
    let (name, colour) = match level {
        Level::ERROR => ("error", "31"),
        Level::WARN => ("warn", "33"),
        Level::INFO => ("info", "32"),
        Level::DEBUG => ("debug", "34"),
        _ => ("trace", "35"),
    };
    coloured(name, colour, ansi)
}

fn coloured(text: &str, colour: &str, ansi: bool) -> String {
    match ansi {
        true => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

/// The fields of an event, without anything that a terminal would act on.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn put(&mut self, field: &Field, text: &str) {
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            match c.is_control() {
                true => shown.extend(c.escape_default()),
                false => shown.push(c),
            }
        }
        self.0.insert(field.name(), shown);
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&'static str, &str)]) -> Fields {
        Fields(
            all.iter()
                .map(|(name, text)| (*name, (*text).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_request_is_one_line() {
        let lines = Lines(Arc::default());
        let ok = [
            ("method", "GET"),
            ("status", "200"),
            ("code", "ok"),
            ("wall_us", "3150"),
        ];
        let left = "GET ? 200 3.1 ms\n";
        assert_eq!(lines.request(&fields(&ok), false), left);
        let failed = [
            ("method", "GET"),
            ("status", "500"),
            ("code", "guest-trap"),
            ("wall_us", "99"),
        ];
        let line = lines.request(&fields(&failed), true);
        assert!(
            line.ends_with("\u{1b}[31m500\u{1b}[0m guest-trap 0.0 ms\n"),
            "{line:?}"
        );
    }

    #[test]
    fn a_backtrace_has_a_line_a_frame() {
        let text = "backtrace: main (src/main.rs:3:5) < start";
        let host = fields(&[("context", "webtask"), ("text", text)]);
        let lines = said(Level::ERROR, &host, false);
        assert_eq!(
            lines,
            "  error webtask: backtrace:\n      main (src/main.rs:3:5)\n      start\n"
        );
        let guest = fields(&[("context", "greeter"), ("text", "a < b")]);
        assert_eq!(said(Level::INFO, &guest, false), "  info greeter: a < b\n");
    }
}
