//! How long an answer may be taken for what is there: RFC 9111, for a cache that its users share.
//!
//! Pure: headers and times come in, and a decision comes out. Beside the RFC: `stale-while-revalidate` and
//! `stale-if-error` of RFC 5861. Every directive that is not understood here only ever shortens a time.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        AGE, CACHE_CONTROL, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
        RETRY_AFTER, VARY,
    },
};
use tokio::time::Instant;

use crate::deadline;

/// How long an answer counts that says nothing of time: a crowd asks once, and a change is seen soon.
pub(super) const UNSAID: Duration = Duration::from_secs(2);
/// The longest time that is guessed from the age of what was answered (RFC 9111, section 4.2.2).
const GUESSED: Duration = Duration::from_secs(60);
/// How long an answer serves on while its origin is down, where the origin says nothing of it.
const DOWN: Duration = Duration::from_secs(24 * 3600);
/// The longest time there is: RFC 9111, section 1.2.2.
const LONGEST: u64 = 1 << 31;
/// How long a failure counts: a crowd asks once.
pub(super) const FAILED: Duration = Duration::from_secs(2);
/// The longest that an origin may ask to be left alone.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// What is kept of a head: all that says how long, and what to ask with the next time.
const KEPT: [HeaderName; 5] = [CACHE_CONTROL, EXPIRES, ETAG, LAST_MODIFIED, VARY];

/// The most bytes of them, for each of ten thousand URLs.
const KEPT_BYTES: usize = 2 << 10;

/// When an answer was asked for, and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) asked: Instant,
    pub(super) received: Instant,
    /// The same moment on the wall: origins write dates.
    pub(super) wall: SystemTime,
}

/// How long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Freshness {
    received: Instant,
    /// From `received`.
    fresh: Duration,
    /// After that, while it is asked for again.
    while_asking: Duration,
    /// After that, while the origin is down.
    if_down: Duration,
}

/// What an answer is good for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    Fresh,
    /// It serves once more, and is asked for again meanwhile.
    Asking,
    /// It has to be asked for, and serves if the origin is down.
    IfDown,
    Over,
}

impl Freshness {
    /// What an answer of status 200, or a redirect, says of itself. `None` if it must not be kept.
    pub(super) fn of(headers: &HeaderMap, times: Times) -> Option<Self> {
        let said = Directives::of(headers);
        // Section 5.2.2.5 and 5.2.2.7; this cache serves all tenants. Section 4.1 for `vary`: the requests
        // are all alike, but for what no field names.
        let any = |value: &HeaderValue| value.as_bytes().contains(&b'*');
        if said.has("no-store") || said.has("private") || headers.get_all(VARY).iter().any(any) {
            return None;
        }
        let age = initial_age(headers, times);
        let (fresh, over) = match lifetime(&said, headers, times) {
            Some(lifetime) => (lifetime.saturating_sub(age), age.saturating_sub(lifetime)),
            None => (
                guessed(headers, times).saturating_sub(age).max(UNSAID),
                Duration::ZERO,
            ),
        };
        // Section 4.2.4: what must never serve stale.
        let asked_always = [
            "no-cache",
            "must-revalidate",
            "proxy-revalidate",
            "s-maxage",
        ];
        let strict = asked_always.iter().any(|name| said.has(name));
        let stale = |name, unsaid: Duration| match strict {
            true => Duration::ZERO,
            false => said.seconds(name).unwrap_or(unsaid).saturating_sub(over),
        };
        Some(Self {
            received: times.received,
            fresh,
            while_asking: stale("stale-while-revalidate", Duration::ZERO),
            if_down: stale("stale-if-error", DOWN),
        })
    }

    /// An answer that a digest in its URL pins.
    pub(super) fn of_pinned(times: Times) -> Self {
        Self {
            received: times.received,
            fresh: Duration::from_secs(LONGEST),
            while_asking: Duration::ZERO,
            if_down: Duration::ZERO,
        }
    }

    /// An answer to which a redirect led holds as long as both do.
    pub(super) fn behind(self, redirect: Self) -> Self {
        let until = deadline::after(self.received, self.fresh)
            .min(deadline::after(redirect.received, redirect.fresh));
        Self {
            fresh: until.saturating_duration_since(self.received),
            while_asking: self.while_asking.min(redirect.while_asking),
            if_down: self.if_down.min(redirect.if_down),
            ..self
        }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let age = now.saturating_duration_since(self.received);
        match age.checked_sub(self.fresh) {
            None => Standing::Fresh,
            Some(stale) if stale < self.while_asking => Standing::Asking,
            Some(stale) if stale < self.if_down => Standing::IfDown,
            Some(_) => Standing::Over,
        }
    }
}

/// Section 4.2.3: how old the answer was when it came.
fn initial_age(headers: &HeaderMap, times: Times) -> Duration {
    let said = headers.get(AGE).and_then(|value| value.to_str().ok());
    let said = said.and_then(delta_seconds).unwrap_or_default();
    let delay = times.received.saturating_duration_since(times.asked);
    let apparent = date(headers, &DATE).and_then(|date| times.wall.duration_since(date).ok());
    said.saturating_add(delay).max(apparent.unwrap_or_default())
}

/// Section 4.2.1, as far as the origin says it.
fn lifetime(said: &Directives, headers: &HeaderMap, times: Times) -> Option<Duration> {
    if said.has("no-cache") {
        return Some(Duration::ZERO);
    }
    if let Some(seconds) = said.seconds("s-maxage").or_else(|| said.seconds("max-age")) {
        return Some(seconds);
    }
    // A date that is none is in the past: section 5.3.
    headers.get(EXPIRES)?;
    let from = date(headers, &DATE).unwrap_or(times.wall);
    let until = date(headers, &EXPIRES).and_then(|until| until.duration_since(from).ok());
    Some(until.unwrap_or_default().min(Duration::from_secs(LONGEST)))
}

/// Section 4.2.2: a tenth of the time for which nothing changed.
fn guessed(headers: &HeaderMap, times: Times) -> Duration {
    let from = date(headers, &DATE).unwrap_or(times.wall);
    let unchanged = date(headers, &LAST_MODIFIED).and_then(|since| from.duration_since(since).ok());
    deadline::share(unchanged.unwrap_or_default(), 10).min(GUESSED)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let text = headers.get(name)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok()
}

/// Section 1.2.2: digits, and what is too large is the largest.
fn delta_seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse().unwrap_or(LONGEST).min(LONGEST)))
}

/// How long an origin with a failure asks to be left alone (RFC 9110, section 10.2.3), within bounds.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Duration {
    let text = headers.get(RETRY_AFTER).and_then(|text| text.to_str().ok());
    let said = text.and_then(|text| {
        let until = || {
            httpdate::parse_http_date(text)
                .ok()?
                .duration_since(now)
                .ok()
        };
        delta_seconds(text.trim()).or_else(until)
    });
    said.unwrap_or_default().clamp(FAILED, LEFT_ALONE)
}

/// The fields of a head that are kept; `None` if an origin says so much that it is not worth to be kept.
pub(super) fn kept(headers: &HeaderMap) -> Option<HeaderMap> {
    let mut kept = HeaderMap::new();
    let mut bytes = 0_usize;
    for name in &KEPT {
        for value in headers.get_all(name) {
            let size = name.as_str().len().saturating_add(value.len());
            bytes = bytes.saturating_add(size);
            kept.append(name, value.clone());
        }
    }
    (bytes <= KEPT_BYTES).then_some(kept)
}

/// The head of an answer that a 304 confirmed: section 3.2. Its age and date are those of the 304.
pub(super) fn confirmed(stored: &HeaderMap, new: &HeaderMap) -> HeaderMap {
    let mut merged = new.clone();
    for name in &KEPT {
        if !new.contains_key(name) {
            for value in stored.get_all(name) {
                merged.append(name, value.clone());
            }
        }
    }
    merged
}

/// Whether a 304 with the head `new` speaks of the answer with the head `stored`: section 4.3.4.
pub(super) fn speaks_of(new: &HeaderMap, stored: &HeaderMap) -> bool {
    let opaque = |headers: &HeaderMap| {
        let tag = headers.get(ETAG)?.as_bytes();
        Some(tag.strip_prefix(b"W/").unwrap_or(tag).to_vec())
    };
    opaque(new).is_none_or(|tag| Some(tag) == opaque(stored))
}

/// The fields that ask whether an answer with the head `stored` is still the one: section 4.3.1. Empty if
/// that cannot be asked.
pub(super) fn conditions(stored: &HeaderMap) -> HeaderMap {
    let mut asked = HeaderMap::new();
    for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
        if let Some(value) = stored.get(from) {
            asked.insert(to, value.clone());
        }
    }
    asked
}

/// The directives of `cache-control`, names in lower case.
struct Directives(Vec<(String, Option<String>)>);

impl Directives {
    fn of(headers: &HeaderMap) -> Self {
        let mut found = Vec::new();
        for value in headers.get_all(CACHE_CONTROL) {
            match value.to_str() {
                Ok(text) => parse(text, &mut found),
                // What cannot be read may have said anything.
                Err(_) => found.push(("no-cache".to_owned(), None)),
            }
        }
        Self(found)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// The least that was said, zero for what is no number (section 4.2.1); `None` if nothing was said.
    fn seconds(&self, name: &str) -> Option<Duration> {
        let of_name = self.0.iter().filter(|(found, _)| found == name);
        let seconds = of_name.map(|(_, value)| {
            let said = value.as_deref().and_then(delta_seconds);
            said.unwrap_or_default()
        });
        seconds.min()
    }
}

/// `name`, `name=token` and `name="quoted, text"` between commas: RFC 9110, sections 5.6.1 to 5.6.4.
fn parse(text: &str, found: &mut Vec<(String, Option<String>)>) {
    let mut chars = text.chars().peekable();
    while chars.peek().is_some() {
        let mut name = String::new();
        while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '=')) {
            name.push(c);
        }
        let mut value = None;
        if chars.next_if_eq(&'=').is_some() {
            let mut said = String::new();
            let mut quoted = false;
            while let Some(c) = chars.next_if(|c| quoted || *c != ',') {
                match c {
                    '"' => quoted = !quoted,
                    '\\' if quoted => said.extend(chars.next()),
                    c => said.push(c),
                }
            }
            value = Some(said.trim().to_owned());
        }
        chars.next_if_eq(&',');
        let name = name.trim().to_ascii_lowercase();
        if !name.is_empty() {
            found.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests;
