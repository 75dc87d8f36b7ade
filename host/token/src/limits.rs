//! The claim `lim`: numbers that lower the runtime's own.

use crate::ParseError;
use crate::units::{parse_bytes, parse_duration, parse_number};

/// What one invocation may use at most. Each lowers the runtime's limit and never raises it;
/// `None` leaves the runtime's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Time on a processor, in milliseconds: `cpu=200ms`.
    pub cpu_ms: Option<u64>,
    /// Time from start to end, in milliseconds: `wall=5s`.
    pub wall_ms: Option<u64>,
    /// Linear memory, in bytes: `memory=64MiB`.
    pub memory: Option<u64>,
    /// Body of the inbound request, in bytes: `request=1MiB`.
    pub request: Option<u64>,
    /// Body of the response, in bytes: `response=1MiB`.
    pub response: Option<u64>,
    /// Outbound calls: `calls=3`. 0 forbids them.
    pub calls: Option<u64>,
    /// Log text, in bytes: `log=16KiB`.
    pub log: Option<u64>,
    /// Invocations in a minute: `rate=60`.
    pub rate: Option<u64>,
}

impl Limits {
    /// Sets a limit from its text, as in `memory=64MiB`, `wall=5s`, `cpu=200ms`, `calls=3`.
    ///
    /// # Errors
    /// [`ParseError::LimitName`] for an unknown name, or what the unit's parser says.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ParseError> {
        let field = self.field(name).ok_or(ParseError::LimitName)?;
        *field = Some(match name {
            "cpu" | "wall" => u64::try_from(parse_duration(value)?.as_millis())
                .map_err(|_| ParseError::Duration)?,
            "memory" | "request" | "response" | "log" => parse_bytes(value)?,
            _ => parse_number(value).ok_or(ParseError::Number)?,
        });
        Ok(())
    }

    /// The limits that are set, by name, in the order of RFC 8949 section 4.2.1.
    ///
    /// `cpu` and `wall` are milliseconds, `calls` and `rate` are counts, all others are bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + Clone {
        [
            ("cpu", self.cpu_ms),
            ("log", self.log),
            ("rate", self.rate),
            ("wall", self.wall_ms),
            ("calls", self.calls),
            ("memory", self.memory),
            ("request", self.request),
            ("response", self.response),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// The lower one of each limit.
    #[must_use]
    pub fn lowered(&self, other: &Self) -> Self {
        let lower = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            _ => a.or(b),
        };
        Self {
            cpu_ms: lower(self.cpu_ms, other.cpu_ms),
            wall_ms: lower(self.wall_ms, other.wall_ms),
            memory: lower(self.memory, other.memory),
            request: lower(self.request, other.request),
            response: lower(self.response, other.response),
            calls: lower(self.calls, other.calls),
            log: lower(self.log, other.log),
            rate: lower(self.rate, other.rate),
        }
    }

    /// The field of a name, as on the command line and in the claim.
    pub(crate) fn field(&mut self, name: &str) -> Option<&mut Option<u64>> {
        Some(match name {
            "cpu" => &mut self.cpu_ms,
            "log" => &mut self.log,
            "rate" => &mut self.rate,
            "wall" => &mut self.wall_ms,
            "calls" => &mut self.calls,
            "memory" => &mut self.memory,
            "request" => &mut self.request,
            "response" => &mut self.response,
            _ => return None,
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_by_name() {
        let mut limits = Limits::default();
        for (name, value) in [
            ("memory", "64MiB"),
            ("wall", "5s"),
            ("cpu", "200ms"),
            ("calls", "3"),
        ] {
            limits.set(name, value).unwrap();
        }
        let set: Vec<_> = limits.iter().collect();
        assert_eq!(
            set,
            [
                ("cpu", 200),
                ("wall", 5000),
                ("calls", 3),
                ("memory", 64 << 20)
            ]
        );
        assert_eq!(limits.set("memory", "64"), Err(ParseError::Bytes));
        assert_eq!(limits.set("calls", "-1"), Err(ParseError::Number));
        assert_eq!(limits.set("colour", "1MiB"), Err(ParseError::LimitName));
    }

    #[test]
    fn every_field_has_a_name() {
        let mut limits = Limits::default();
        let names = [
            "cpu", "log", "rate", "wall", "calls", "memory", "request", "response",
        ];
        for name in names {
            *limits.field(name).unwrap() = Some(1);
        }
        assert_eq!(
            limits.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            names
        );
        assert!(!format!("{limits:?}").contains("None"));
    }
}
