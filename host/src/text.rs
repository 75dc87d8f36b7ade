//! Texts that end in logs: printable, in one line, in hexadecimal.

use std::fmt::Write as _;

/// An error and its causes in one line, for a log or a person.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// `text` without anything that a terminal or a line-based log would act on, at most `max` bytes.
pub(crate) fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        if out.len() >= max {
            out.push('…');
            break;
        }
        match c {
            '\t' => out.push(' '),
            // Bidirectional controls reorder what a reader sees.
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_unicode());
            }
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_guests_text_cannot_forge_a_line_or_an_escape_sequence() {
        let hostile = "ok\r\n2026-01-01 ERROR forged \u{1b}[2J \u{202e}txt \u{2028}x\u{0}";
        let shown = printable(hostile, 1_000);
        assert!(
            !shown.chars().any(|c| c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || c == '\u{2028}'),
            "{shown}"
        );
        assert!(shown.contains("forged"), "the text itself is kept: {shown}");
    }

    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let shown = printable(&"x".repeat(100), 10);
        assert_eq!(shown, format!("{}…", "x".repeat(10)));
    }
}
