//! What more than one example needs: hexadecimal digits and the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The 32 bytes that 64 hexadecimal digits stand for.
#[must_use]
pub fn unhex(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The hexadecimal digits of `bytes`, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or('0');
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

/// The time now, in Unix seconds.
#[must_use]
pub fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A time as the calendar has it.
#[derive(Clone, Copy, Debug)]
pub struct Utc {
    days: u64,
    seconds: u64,
}

impl Utc {
    /// The time so many seconds after the beginning of 1970.
    #[must_use]
    pub fn of(unix: u64) -> Self {
        Self {
            days: unix / 86_400,
            seconds: unix % 86_400,
        }
    }

    /// As in `20130524T000000Z`: the basic format of ISO 8601.
    #[must_use]
    pub fn basic(self) -> String {
        // Years begin in March here, so that the leap day is the last one: Howard Hinnant, "chrono-Compatible
        // Low-Level Date Algorithms", civil_from_days.
        let days = self.days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        let year = era * 400 + year + next;
        let (hour, minute, second) = (
            self.seconds / 3600,
            self.seconds / 60 % 60,
            self.seconds % 60,
        );
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(Utc::of(unix).basic(), text);
        }
    }

    #[test]
    fn digits_go_both_ways() {
        let digits = "00ff".repeat(16);
        assert_eq!(unhex(&digits).map(|bytes| hex(&bytes)), Some(digits));
        assert_eq!(unhex("00"), None);
        assert_eq!(unhex(&"+f".repeat(32)), None);
    }
}
