//! Durations and sizes as people write them on a command line.

use std::time::Duration;

use crate::ParseError;

/// Reads a whole number and its unit: `200ms`, `5s`, `10m`, `12h`, `30d`.
///
/// # Errors
/// [`ParseError::Duration`] without a number, without a unit, or beyond 64 bits of milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, ParseError> {
    let factor = |unit: &str| match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    scaled(text, factor)
        .map(Duration::from_millis)
        .ok_or(ParseError::Duration)
}

/// Reads a whole number and its binary unit: `65536B`, `512KiB`, `64MiB`, `1GiB`.
///
/// Decimal units are refused rather than guessed at: people mean both 1000 and 1024 by `KB`.
///
/// # Errors
/// [`ParseError::Bytes`] without a number, without a unit, or beyond 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, ParseError> {
    let factor = |unit: &str| match unit {
        "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    scaled(text, factor).ok_or(ParseError::Bytes)
}

/// Reads digits, and nothing but digits.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn scaled(text: &str, factor: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(end)?;
    parse_number(digits)?.checked_mul(factor(unit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_exact() {
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(
            parse_duration("30d"),
            Ok(Duration::from_secs(crate::DEFAULT_LIFE))
        );
        for text in [
            "",
            "5",
            "s",
            "-5s",
            "+5s",
            "5 s",
            "5S",
            "1.5s",
            "1w",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(parse_duration(text), Err(ParseError::Duration), "{text}");
        }
        for (text, bytes) in [
            ("65536B", 65_536),
            ("512KiB", 524_288),
            ("64MiB", 67_108_864),
            ("3GiB", 3_221_225_472),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["64", "64MB", "64 MiB", "MiB", "17179869184GiB"] {
            assert_eq!(parse_bytes(text), Err(ParseError::Bytes), "{text}");
        }
    }
}
