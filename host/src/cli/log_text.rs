//! The log as text. There is an access record for each request, and so it is put together by hand where it has no
//! colours: `tracing-subscriber` takes three times as long for the same bytes.

use std::{
    fmt::{self, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
};
use webtask_host::utc;

/// The target of access records.
const ACCESS: &str = "webtask::access";
/// Bytes of an access record, about.
const USUAL: usize = 768;

/// Lines of text, as `tracing-subscriber` writes them.
#[derive(Default)]
pub(super) struct Text(Format);

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != ACCESS || to.has_ansi_escapes() {
            return self.0.format_event(context, to, event);
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default();
        let mut line = Line(String::with_capacity(USUAL));
        line.0.push_str(utc(since.as_secs()).trim_end_matches('Z'));
        let level = event.metadata().level();
        write!(
            line.0,
            ".{:06}Z {level:>5} {ACCESS}:",
            since.subsec_micros()
        )?;
        event.record(&mut line);
        line.0.push('\n');
        to.write_str(&line.0)
    }
}

/// A line, as far as it is written.
struct Line(String);

impl Line {
    fn name(&mut self, field: &Field) {
        self.0.push(' ');
        self.0.push_str(field.name());
        self.0.push('=');
    }
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.0.push_str(itoa::Buffer::new().format(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if !value.bytes().all(plain) {
            return self.record_debug(field, &value);
        }
        self.name(field);
        self.0.push('"');
        self.0.push_str(value);
        self.0.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{value:?}");
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        /// What was written, and its time without digits.
        fn text(&self) -> String {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let (time, rest) = text.split_once(' ').unwrap();
            time.replace(|c: char| c.is_ascii_digit(), "0") + " " + rest
        }
    }

    fn tell() {
        tracing::info!(
            target: "webtask::access",
            plain = "a b!~",
            odd = "\"\\\u{1b}[2J\nü",
            empty = "",
            number = u64::MAX,
            none = None::<u64>,
            negative = -1,
            shown = %"a b",
            debug = ?Some("x"),
        );
    }

    /// By hand, and still what the library writes.
    #[test]
    fn an_access_record_reads_as_every_other_line() {
        let (ours, theirs) = (Kept::default(), Kept::default());
        let (to_ours, to_theirs) = (ours.clone(), theirs.clone());
        let log = || tracing_subscriber::fmt().with_ansi(false);
        let by_hand = log()
            .event_format(Text::default())
            .with_writer(move || to_ours.clone());
        with_default(by_hand.finish(), tell);
        let by_library = log().with_writer(move || to_theirs.clone());
        with_default(by_library.finish(), tell);
        assert_eq!(ours.text(), theirs.text());
        assert!(
            ours.text()
                .contains("number=18446744073709551615 negative=-1")
        );
    }
}
