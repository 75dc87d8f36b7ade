//! `Limits`: every number a run may use. Owns the production defaults and the rule that a token
//! lowers a limit and never raises it; must not know who enforces which.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest time that a limit may be.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What one invocation, and the host around it, may use.
///
/// The defaults are meant for production. In a configuration file the table `[limits]` sets any of
/// them; durations are texts such as `"10s"`, sizes are texts such as `"64MiB"` or bytes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Limits {
    /// Wall-clock time of one invocation, from instantiation to the last byte. Default 10 s.
    #[serde(with = "duration")]
    pub wall: Duration,
    /// CPU time of one invocation, measured on the thread's CPU clock. Default 2 s.
    #[serde(with = "duration")]
    pub cpu: Duration,
    /// Linear memory of one invocation, all memories together, in bytes. Default 64 MiB.
    #[serde(with = "size")]
    pub memory: u64,
    /// Elements of one table. Default 20,000.
    pub table_elements: usize,
    /// Core instances in one invocation; toolchains make three or four, those of dynamic languages
    /// more. Default 32.
    pub instances: u32,
    /// Linear memories in one invocation. Default 2.
    pub memories: u32,
    /// Tables in one invocation. Default 8.
    pub tables: u32,
    /// Bytes of the stack that the guest's functions share, in this process: of each invocation. Default 512 KiB.
    #[serde(with = "size")]
    pub stack: u64,
    /// Bytes that the guest may hand to the host in one call. Default 8 MiB.
    #[serde(with = "size")]
    pub hostcall_bytes: u64,
    /// Live host resources (streams, bodies, requests, timers …) of one invocation, and four times as many
    /// handles, and tasks, streams and futures of WASI 0.3. With `header-bytes` it bounds the host's own memory
    /// for one invocation. Default 512.
    pub resources: usize,
    /// Bytes of one set of headers, in memory, where a field counts 72 bytes more than its name and value; and
    /// of a method, and of an authority. Default 32 KiB.
    #[serde(with = "size")]
    pub header_bytes: u64,
    /// Random bytes in one call. Default 64 KiB.
    #[serde(with = "size")]
    pub random_bytes: u64,
    /// Random bytes of one invocation, in all calls together. Default 16 MiB.
    #[serde(with = "size")]
    pub random_total: u64,
    /// Bytes of the request's body. Default 16 MiB.
    #[serde(with = "size")]
    pub request_bytes: u64,
    /// Bytes of the response's body. Default 64 MiB.
    #[serde(with = "size")]
    pub response_bytes: u64,
    /// Outbound calls of one invocation. Default 50.
    pub calls: u64,
    /// Outbound calls of one invocation at the same time. Default 8.
    pub concurrent_calls: usize,
    /// Bytes of one outbound response's body. Default 64 MiB.
    #[serde(with = "size")]
    pub outbound_bytes: u64,
    /// Bytes of the bodies of all outbound requests and responses of one invocation. Default 256 MiB.
    #[serde(with = "size")]
    pub outbound_total: u64,
    /// Outbound connections kept open for later calls, in this process. Default 512.
    pub pool: usize,
    /// Bytes of an outbound request's body that is signed with a bound secret, and kept in memory for it.
    /// Default 1 MiB.
    #[serde(with = "size")]
    pub signed_bytes: u64,
    /// Time to resolve, connect and shake hands with an outbound origin. Default 5 s.
    #[serde(with = "duration")]
    pub connect: Duration,
    /// Log lines of one invocation. Default 1,000.
    pub log_lines: u64,
    /// Log bytes of one invocation. Default 64 KiB.
    #[serde(with = "size")]
    pub log_bytes: u64,
    /// Bytes of one log line; a longer one becomes several, or is cut. Default 8 KiB.
    #[serde(with = "size")]
    pub log_line: u64,
    /// Bytes of log lines that are kept in memory for readers to come, of one tenant; a line counts some 300 bytes
    /// more than its text. Default 256 KiB.
    #[serde(with = "size")]
    pub log_history: u64,
    /// Lines that are kept so, of one tenant. Default 1,000.
    pub log_history_lines: usize,
    /// Bytes of log lines that are kept so, of all tenants; those that wrote nothing for longest make room.
    /// Default 64 MiB.
    #[serde(with = "size")]
    pub log_history_total: u64,
    /// Readers of live logs at the same time, in this process; for each there may be the history that it began with
    /// and 128 KiB of lines that it did not take yet. Default 128.
    pub log_readers: u32,
    /// Of those, of one tenant, half of them with one token and what was made from it. Default 16.
    pub tenant_log_readers: u32,
    /// Bytes of a component. Default 16 MiB.
    #[serde(with = "size")]
    pub component_bytes: u64,
    /// Bytes of debug information of a component, by which the log names source lines; what has more is run
    /// without. Default 1 MiB.
    #[serde(with = "size")]
    pub debug_bytes: u64,
    /// Time to fetch a component. Default 10 s.
    #[serde(with = "duration")]
    pub fetch: Duration,
    /// Components that are fetched at the same time. Default 64.
    pub fetches: usize,
    /// Of those, for one tenant: a slow origin of code keeps no other tenant waiting. Default 32.
    pub tenant_fetches: usize,
    /// Time to compile a component, and to wait for a compiler before. Default 30 s.
    #[serde(with = "duration")]
    pub compile: Duration,
    /// Bytes of private memory that a compiler may have, in a process of its own. Default 1 GiB.
    #[serde(with = "size")]
    pub compile_memory: u64,
    /// Components that are compiled at the same time, of one tenant half as many. Default 2.
    pub compilers: usize,
    /// Bytes of a component's native code, three to four times the component. Default 64 MiB.
    #[serde(with = "size")]
    pub compiled_bytes: u64,
    /// Invocations at the same time in this process. Default 500.
    pub invocations: u32,
    /// Of those, of one tenant: half, so that what is left for all others is as much as any one can take.
    /// Default 250.
    pub tenant_invocations: u32,
    /// Of those, of one token and all that is made from it: half of a tenant's. Default 125.
    pub token_invocations: u32,
    /// Requests of one tenant that wait when all places for invocations are taken. Default 64.
    pub queue: usize,
    /// Time that such a request waits for a place. Default 1 s.
    #[serde(with = "duration")]
    pub queue_time: Duration,
    /// Connections at the same time in this process, and answers of guests that are still being read.
    /// Default 4,096.
    pub connections: usize,
    /// Connections at the same time from one IPv4 address, or from one IPv6 network of 64 bits; 0 for no
    /// such bound, as behind a proxy all come from one. Default 0.
    pub connections_per_address: usize,
    /// HTTP/2 streams at the same time on one connection. Default 128.
    pub streams: u32,
    /// Header fields of one request. Default 100.
    pub header_fields: usize,
    /// Time for the first bytes of a connection, for the head of a request, and for a kept connection of
    /// HTTP/1.1 to send another one; a TLS handshake has 10 s of it at most. Default 15 s.
    #[serde(with = "duration")]
    pub head: Duration,
    /// Time that an HTTP/2 connection without a stream is kept. Default 60 s.
    #[serde(with = "duration")]
    pub idle: Duration,
    /// Time in which a caller must take something of its answer, and answer a ping of HTTP/2. Default 30 s.
    #[serde(with = "duration")]
    pub stall: Duration,
    /// Bytes of native code that are kept in memory. Default 1 GiB.
    #[serde(with = "size")]
    pub cache_bytes: u64,
    /// Time after which native code that nobody asked for is not kept in memory any more. Default 1 h.
    #[serde(with = "duration")]
    pub cache_idle: Duration,
    /// Bytes of native code that are kept in the cache directory, if there is one. Default 1 GiB.
    #[serde(with = "size")]
    pub cache_disk_bytes: u64,
}

impl Limits {
    /// These limits, lowered to what the token's `lim` claim asks for. A larger number is ignored.
    #[must_use]
    pub fn lowered(&self, lim: &webtask_token::Limits) -> Self {
        let mut lowered = self.clone();
        let millis = |now: Duration, to: Option<u64>| {
            to.map_or(now, |ms| now.min(Duration::from_millis(ms)))
        };
        let least = |now: u64, to: Option<u64>| to.map_or(now, |to| now.min(to));
        lowered.wall = millis(self.wall, lim.wall_ms);
        lowered.cpu = millis(self.cpu, lim.cpu_ms);
        lowered.memory = least(self.memory, lim.memory);
        lowered.request_bytes = least(self.request_bytes, lim.request);
        lowered.response_bytes = least(self.response_bytes, lim.response);
        lowered.calls = least(self.calls, lim.calls);
        lowered.log_bytes = least(self.log_bytes, lim.log);
        lowered
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(10),
            cpu: Duration::from_secs(2),
            memory: 64 << 20,
            table_elements: 20_000,
            instances: 32,
            memories: 2,
            tables: 8,
            stack: 512 << 10,
            hostcall_bytes: 8 << 20,
            resources: 512,
            header_bytes: 32 << 10,
            random_bytes: 64 << 10,
            random_total: 16 << 20,
            request_bytes: 16 << 20,
            response_bytes: 64 << 20,
            calls: 50,
            concurrent_calls: 8,
            outbound_bytes: 64 << 20,
            outbound_total: 256 << 20,
            pool: 512,
            signed_bytes: 1 << 20,
            connect: Duration::from_secs(5),
            log_lines: 1_000,
            log_bytes: 64 << 10,
            log_line: 8 << 10,
            log_history: 256 << 10,
            log_history_lines: 1_000,
            log_history_total: 64 << 20,
            log_readers: 128,
            tenant_log_readers: 16,
            component_bytes: 16 << 20,
            debug_bytes: 1 << 20,
            fetch: Duration::from_secs(10),
            fetches: 64,
            tenant_fetches: 32,
            compile: Duration::from_secs(30),
            compile_memory: 1 << 30,
            compilers: 2,
            compiled_bytes: 64 << 20,
            invocations: 500,
            tenant_invocations: 250,
            token_invocations: 125,
            queue: 64,
            queue_time: Duration::from_secs(1),
            connections: 4_096,
            connections_per_address: 0,
            streams: 128,
            header_fields: 100,
            head: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            cache_bytes: 1 << 30,
            cache_idle: Duration::from_secs(3600),
            cache_disk_bytes: 1 << 30,
        }
    }
}

/// Texts such as `"10s"`, read and written.
pub(crate) mod duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        let time = webtask_token::units::parse_duration(&text).map_err(D::Error::custom)?;
        if time > super::LONGEST {
            return Err(D::Error::custom(format!("{text} is longer than a day")));
        }
        Ok(time)
    }

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let units = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1_000, "s"),
        ];
        to.collect_str(&super::Scaled(millis, &units, "ms"))
    }
}

/// Texts such as `"64MiB"`, read and written; numbers of bytes are read, too.
mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Size {
            Bytes(u64),
            Text(String),
        }
        match Size::deserialize(from)? {
            Size::Bytes(bytes) => Ok(bytes),
            Size::Text(text) => webtask_token::units::parse_bytes(&text).map_err(D::Error::custom),
        }
    }

    pub(super) fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        to.collect_str(&super::Scaled(*bytes, &units, "B"))
    }
}

/// A number in the largest unit that takes it without a rest: what is read back is the same.
struct Scaled<'a>(u64, &'a [(u64, &'a str)], &'a str);

impl fmt::Display for Scaled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, units, least) = self;
        let whole = units.iter().find_map(|(unit, name)| {
            let fits = *number > 0 && number.is_multiple_of(*unit);
            Some((number.checked_div(*unit).filter(|_| fits)?, name))
        });
        match whole {
            Some((count, name)) => write!(f, "{count}{name}"),
            None => write!(f, "{number}{least}"),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    /// Whoever prints the numbers in force can read them again.
    #[test]
    fn what_is_printed_is_read_back() {
        let printed = toml::to_string(&Limits::default()).unwrap();
        let read: Limits = toml::from_str(&printed).unwrap();
        assert_eq!(format!("{read:?}"), format!("{:?}", Limits::default()));
        for line in [
            "wall = \"10s\"",
            "memory = \"64MiB\"",
            "log-line = \"8KiB\"",
            "calls = 50",
        ] {
            assert!(printed.contains(line), "{line} in {printed}");
        }
        let odd = Limits {
            wall: Duration::from_millis(90_001),
            cpu: Duration::ZERO,
            memory: (1 << 20) + 1,
            request_bytes: 0,
            ..Limits::default()
        };
        let read: Limits = toml::from_str(&toml::to_string(&odd).unwrap()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{odd:?}"));
    }

    #[test]
    fn a_token_lowers_and_never_raises() {
        let host = Limits::default();
        let lim = webtask_token::Limits {
            memory: Some(1 << 20),
            wall_ms: Some(3_600_000),
            ..webtask_token::Limits::default()
        };
        let lowered = host.lowered(&lim);
        assert_eq!(lowered.memory, 1 << 20);
        assert_eq!(lowered.wall, host.wall);
    }
}
