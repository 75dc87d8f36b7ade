//! `webtask token`: make tokens, narrow them, look into them and end them.

mod attenuate;
mod call;
mod create;
mod flags;
mod inspect;
mod issue;
mod mint;
mod reseal;
mod revoke;
mod secrets;
mod source;
mod words;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};

use super::Failure;

/// Make tokens, narrow them, look into them and end them
#[derive(Args, Debug)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    command: Token,
}

#[derive(Debug, Subcommand)]
enum Token {
    Create(Box<create::Create>),
    Attenuate(attenuate::Attenuate),
    Inspect(inspect::Inspect),
    Reseal(reseal::Reseal),
    Revoke(revoke::Revoke),
}

impl TokenCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Token::Create(command) => command.run(),
            Token::Attenuate(command) => command.run(),
            Token::Inspect(command) => command.run(),
            Token::Reseal(command) => command.run(),
            Token::Revoke(command) => command.run(),
        }
    }
}

/// The time, in Unix seconds. A clock before 1970 is 0: nothing is expired, and every `exp` is far away.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Unix seconds as RFC 3339: `2026-11-22T10:00:00Z`.
///
/// Days to dates as in Howard Hinnant's `civil_from_days`, for days since 1970 only.
pub(super) fn utc(seconds: u64) -> String {
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
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
