//! `Limits`: every number a run may use. Owns the production defaults and the rule that a token
//! lowers a limit and never raises it; must not know who enforces which.

use std::time::Duration;

use serde::Deserialize;

/// The longest time that a limit may be.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What one invocation, and the host around it, may use.
///
/// The defaults are meant for production. In a configuration file the table `[limits]` sets any of
/// them; durations are texts such as `"10s"`, sizes are texts such as `"64MiB"` or bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Limits {
    /// Wall-clock time of one invocation, from instantiation to the last byte. Default 10 s.
    #[serde(deserialize_with = "duration")]
    pub wall: Duration,
    /// CPU time of one invocation, measured on the thread's CPU clock. Default 2 s.
    #[serde(deserialize_with = "duration")]
    pub cpu: Duration,
    /// Linear memory of one invocation, all memories together, in bytes. Default 64 MiB.
    #[serde(deserialize_with = "size")]
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
    /// Bytes that the guest may hand to the host in one call. Default 8 MiB.
    #[serde(deserialize_with = "size")]
    pub hostcall_bytes: u64,
    /// Live host resources (streams, bodies, requests …) of one invocation. With `header-bytes` it bounds
    /// the host's own memory for one invocation. Default 512.
    pub resources: usize,
    /// Bytes of one set of headers, in memory. Default 32 KiB.
    #[serde(deserialize_with = "size")]
    pub header_bytes: u64,
    /// Random bytes in one call. Default 64 KiB.
    #[serde(deserialize_with = "size")]
    pub random_bytes: u64,
    /// Bytes of the request's body. Default 16 MiB.
    #[serde(deserialize_with = "size")]
    pub request_bytes: u64,
    /// Bytes of the response's body. Default 64 MiB.
    #[serde(deserialize_with = "size")]
    pub response_bytes: u64,
    /// Outbound calls of one invocation. Default 50.
    pub calls: u64,
    /// Outbound calls of one invocation at the same time. Default 8.
    pub concurrent_calls: usize,
    /// Bytes of one outbound response's body. Default 64 MiB.
    #[serde(deserialize_with = "size")]
    pub outbound_bytes: u64,
    /// Bytes of the bodies of all outbound requests and responses of one invocation. Default 256 MiB.
    #[serde(deserialize_with = "size")]
    pub outbound_total: u64,
    /// Outbound connections kept open for later calls, in this process. Default 512.
    pub pool: usize,
    /// Bytes of an outbound request's body that is signed with a bound secret, and kept in memory for it.
    /// Default 1 MiB.
    #[serde(deserialize_with = "size")]
    pub signed_bytes: u64,
    /// Time to resolve, connect and shake hands with an outbound origin. Default 5 s.
    #[serde(deserialize_with = "duration")]
    pub connect: Duration,
    /// Log lines of one invocation. Default 1,000.
    pub log_lines: u64,
    /// Log bytes of one invocation. Default 64 KiB.
    #[serde(deserialize_with = "size")]
    pub log_bytes: u64,
    /// Bytes of a component. Default 16 MiB.
    #[serde(deserialize_with = "size")]
    pub component_bytes: u64,
    /// Time to fetch a component. Default 10 s.
    #[serde(deserialize_with = "duration")]
    pub fetch: Duration,
    /// Components that are fetched at the same time. Default 64.
    pub fetches: usize,
    /// Time to compile a component, and to wait for a compiler before. Default 30 s.
    #[serde(deserialize_with = "duration")]
    pub compile: Duration,
    /// Bytes of private memory that a compiler may have, in a process of its own. Default 1 GiB.
    #[serde(deserialize_with = "size")]
    pub compile_memory: u64,
    /// Components that are compiled at the same time. Default one for each processor, and 8 at most.
    pub compilers: usize,
    /// Bytes of a component's native code, three to four times the component. Default 64 MiB.
    #[serde(deserialize_with = "size")]
    pub compiled_bytes: u64,
    /// Invocations at the same time in this process. Default 500.
    pub invocations: u32,
    /// Connections at the same time in this process. Default 4,096.
    pub connections: usize,
    /// Bytes of native code that are kept in memory. Default 1 GiB.
    #[serde(deserialize_with = "size")]
    pub cache_bytes: u64,
    /// Bytes of native code that are kept in the cache directory, if there is one. Default 1 GiB.
    #[serde(deserialize_with = "size")]
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
            hostcall_bytes: 8 << 20,
            resources: 512,
            header_bytes: 32 << 10,
            random_bytes: 64 << 10,
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
            component_bytes: 16 << 20,
            fetch: Duration::from_secs(10),
            fetches: 64,
            compile: Duration::from_secs(30),
            compile_memory: 1 << 30,
            compilers: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8)),
            compiled_bytes: 64 << 20,
            invocations: 500,
            connections: 4_096,
            cache_bytes: 1 << 30,
            cache_disk_bytes: 1 << 30,
        }
    }
}

fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let time = webtask_token::units::parse_duration(&text).map_err(serde::de::Error::custom)?;
    if time > LONGEST {
        let text = format!("{text} is longer than a day");
        return Err(serde::de::Error::custom(text));
    }
    Ok(time)
}

fn size<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(from)? {
        Size::Bytes(bytes) => Ok(bytes),
        Size::Text(text) => {
            webtask_token::units::parse_bytes(&text).map_err(serde::de::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
