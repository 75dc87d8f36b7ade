//! The log of the process, on stderr: lines for people, or one JSON object a line.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use webtask_host::LogFormat;

use super::{log_lines::Lines, log_text::Text};

/// Starts the log; once in a process.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("WEBTASK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Lines)
        // It would tell of a log that cannot be written on stderr as well, and panic when that fails: nobody
        // reads it any more, and the requests go on.
        .log_internal_errors(false);
    match format {
        LogFormat::Json => {
            let json = log.json().flatten_event(true);
            json.with_current_span(false).with_span_list(false).init();
            // A panic is a line as well, and no line of a program that reads them is anything else.
            std::panic::set_hook(Box::new(|panic| {
                let place = panic.location().map(ToString::to_string);
                let text = panic.payload_as_str().unwrap_or("no text");
                tracing::error!(target: "webtask::panic", place, text, "panicked");
            }));
        }
        _ => {
            let text = log.with_ansi(std::io::stderr().is_terminal());
            text.event_format(Text::default()).init();
        }
    }
}
