//! Texts that end in logs: printable, in one line, in hexadecimal.

use data_encoding::HEXLOWER;

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
    HEXLOWER.encode(bytes)
}

/// `text` without anything that a terminal or a line-based log would act on, at most `max` bytes.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
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

/// Unix seconds as RFC 3339: `2026-11-22T10:00:00Z`. Until the year 9999.
///
/// Days to dates as in Howard Hinnant's `civil_from_days`, for days since 1970 only.
#[must_use]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "days are seconds / 86 400, so the sums fit; each difference is of a day and what is counted of it"
)]
pub fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = String::with_capacity("2026-11-22T10:00:00Z".len());
    // Not by `format!`: each line of a log begins with one.
    for (number, highest, after) in [
        (year, 1_000, '-'),
        (month, 10, '-'),
        (day, 10, 'T'),
        (hour, 10, ':'),
        (minute, 10, ':'),
        (second, 10, 'Z'),
    ] {
        let mut place = highest;
        while place > 0 {
            let digit = u32::try_from(number / place % 10);
            text.extend(digit.ok().and_then(|digit| char::from_digit(digit, 10)));
            place /= 10;
        }
        text.push(after);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{printable, utc};

    #[test]
    fn dates_are_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

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
