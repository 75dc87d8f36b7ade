//! `traceparent` and `tracestate`, in and out (W3C Trace Context, level 1).

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `version-traceid-parentid-flags`, in lower-case hexadecimal.
const PARENT_LEN: usize = 55;
/// Bytes of all `tracestate` fields together: what section 3.3.1.5 asks everybody to carry. A longer one is
/// dropped whole, for half of an entry would be another one.
const STATE_LEN: usize = 512;
/// Entries of a `tracestate`, at most (section 3.3.1.1).
const STATE_ENTRIES: usize = 32;
/// The flag of a trace that somebody records.
const SAMPLED: u8 = 1;

/// The trace of one request, and the host's span in it.
#[derive(Clone, Debug)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: TraceId,
    /// The caller's span, where the trace is the caller's.
    pub(crate) parent: Option<SpanId>,
    /// The host's own.
    pub(crate) span_id: SpanId,
    pub(crate) sampled: bool,
    state: Option<HeaderValue>,
}

impl TraceContext {
    /// Goes on with the trace of `headers`, or begins one, which is `sampled` or not. The host's span takes the
    /// place of the caller's in `headers`, for the guest.
    ///
    /// What is not valid is as if it were not there (section 2.2.2: restart the trace).
    pub(crate) fn take(headers: &mut HeaderMap, sampled: bool) -> Self {
        let ids = RandomIdGenerator::default();
        let parent = only(headers).and_then(parse);
        let state = parent.is_some().then(|| state(headers)).flatten();
        let (trace_id, parent, sampled) = match parent {
            Some((trace_id, parent, sampled)) => (trace_id, Some(parent), sampled),
            None => (ids.new_trace_id(), None, sampled),
        };
        let context = Self {
            trace_id,
            parent,
            span_id: ids.new_span_id(),
            sampled,
            state,
        };
        context.write(headers, context.span_id);
        context
    }

    /// The id of a span below the host's.
    pub(crate) fn new_span(&self) -> SpanId {
        RandomIdGenerator::default().new_span_id()
    }

    /// Puts the trace into the header of an outbound call, whose span is `span`.
    ///
    /// A guest may have spans of its own in this trace; what it says of another trace is not passed on.
    pub(crate) fn of_call(&self, headers: &mut HeaderMap, span: SpanId) {
        let own = only(headers)
            .and_then(parse)
            .is_some_and(|(trace, parent, _)| trace == self.trace_id && parent != self.span_id);
        if !own {
            self.write(headers, span);
        }
    }

    fn write(&self, headers: &mut HeaderMap, span: SpanId) {
        let mut parent = String::with_capacity(PARENT_LEN);
        parent.push_str("00-");
        HEXLOWER.encode_append(&self.trace_id.to_bytes(), &mut parent);
        parent.push('-');
        HEXLOWER.encode_append(&span.to_bytes(), &mut parent);
        parent.push_str(if self.sampled { "-01" } else { "-00" });
        set(headers, TRACEPARENT, HeaderValue::from_str(&parent).ok());
        set(headers, TRACESTATE, self.state.clone());
    }
}

/// A field that a bound secret stands in is the token's, whatever its name.
fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>) {
    if headers.get(&name).is_some_and(HeaderValue::is_sensitive) {
        return;
    }
    match value {
        Some(value) => {
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
}

/// The one `traceparent`: two are none.
fn only(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let first = fields.next()?;
    fields.next().is_none().then_some(first.as_bytes())
}

/// Trace, span and whether it is sampled (section 3.2.2). A later version may say more behind a dash.
fn parse(value: &[u8]) -> Option<(TraceId, SpanId, bool)> {
    let (known, rest) = value.split_at_checked(PARENT_LEN)?;
    let known = std::str::from_utf8(known).ok()?;
    let mut parts = known.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let well_formed = parts.next().is_none()
        && lengths
            .iter()
            .all(|(part, length)| part.len() == *length && part.bytes().all(is_hex));
    let complete = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    if !well_formed || !complete {
        return None;
    }
    let trace = TraceId::from_hex(trace)
        .ok()
        .filter(|id| *id != TraceId::INVALID)?;
    let span = SpanId::from_hex(span)
        .ok()
        .filter(|id| *id != SpanId::INVALID)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace, span, flags & SAMPLED != 0))
}

/// The entries of all `tracestate` fields, if they are valid, in one.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut whole = String::new();
    let mut entries = 0_usize;
    for field in headers.get_all(TRACESTATE) {
        if whole.len().saturating_add(field.len()) > STATE_LEN {
            return None;
        }
        let text = field.to_str().ok()?;
        for entry in text.split(',').map(|entry| entry.trim_matches([' ', '\t'])) {
            if entry.is_empty() {
                continue;
            }
            let (key, value) = entry.split_once('=')?;
            entries = entries.saturating_add(1);
            if entries > STATE_ENTRIES || !is_key(key) || !is_value(value) {
                return None;
            }
            if !whole.is_empty() {
                whole.push(',');
            }
            whole.push_str(entry);
        }
    }
    // It goes on to every origin that is called: no place to carry a token to.
    if whole.is_empty() || whole.len() > STATE_LEN || whole.contains("wt1.") {
        return None;
    }
    HeaderValue::from_str(&whole).ok()
}

fn is_key(key: &str) -> bool {
    let is_part = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-*/@".contains(&c);
    let begins = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    key.len() <= 256 && key.bytes().next().is_some_and(begins) && key.bytes().all(is_part)
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len()) && value.bytes().all(|c| matches!(c, 0x20..=0x7e) && c != b'=')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn said<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_valid_traceparent_is_gone_on_with() {
        let mut given = headers(&[
            ("traceparent", PARENT),
            ("tracestate", "rojo=00f067aa0ba902b7"),
            ("tracestate", " congo=t61rcWkgMzE , tenant@vendor=1"),
        ]);
        let context = TraceContext::take(&mut given, false);
        assert_eq!(context.trace_id.to_string(), TRACE);
        assert_eq!(context.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert!(context.sampled);
        let seen = format!("00-{TRACE}-{}-01", context.span_id);
        assert_eq!(said(&given, "traceparent"), Some(&*seen));
        assert_eq!(
            said(&given, "tracestate"),
            Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,tenant@vendor=1")
        );
        assert_eq!(given.get_all("tracestate").iter().count(), 1);
    }

    #[test]
    fn an_invalid_traceparent_begins_another_trace() {
        let long = format!("{PARENT}-{}", "x".repeat(10_000));
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.x",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &long,
        ] {
            let mut given = headers(&[("traceparent", bad), ("tracestate", "a=1")]);
            let context = TraceContext::take(&mut given, false);
            assert_ne!(context.trace_id.to_string(), TRACE, "{bad}");
            assert_eq!((context.parent, context.sampled), (None, false), "{bad}");
            assert_eq!(said(&given, "tracestate"), None, "{bad}");
            assert_eq!(said(&given, "traceparent").unwrap().len(), PARENT_LEN);
        }
        let mut twice = headers(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_ne!(
            TraceContext::take(&mut twice, true).trace_id.to_string(),
            TRACE
        );
        assert_eq!(twice.get_all("traceparent").iter().count(), 1);
        // What a later version adds is not ours to pass on.
        let mut later = headers(&[("traceparent", &PARENT.replacen("00", "cc", 1))]);
        later.insert(
            "traceparent",
            HeaderValue::from_str(&format!("cc{}-more", PARENT.get(2..).unwrap())).unwrap(),
        );
        assert_eq!(
            TraceContext::take(&mut later, false).trace_id.to_string(),
            TRACE
        );
        assert!(said(&later, "traceparent").unwrap().starts_with("00-"));
    }

    #[test]
    fn a_tracestate_that_is_not_valid_or_too_long_is_dropped() {
        let many: Vec<_> = (0..33).map(|n| format!("k{n}=1")).collect();
        let long = format!("a={}", "x".repeat(257));
        let longer: Vec<_> = (0..4)
            .map(|n| format!("k{n}={}", "x".repeat(200)))
            .collect();
        for bad in [
            "a",
            "A=1",
            "=1",
            "a=",
            "a=1=2",
            "a=wt1.k.x",
            &many.join(","),
            &long,
            &longer.join(","),
        ] {
            let mut given = headers(&[("traceparent", PARENT), ("tracestate", bad)]);
            TraceContext::take(&mut given, false);
            assert_eq!(said(&given, "tracestate"), None, "{bad}");
        }
        let mut bytes = headers(&[("traceparent", PARENT)]);
        bytes.insert("tracestate", HeaderValue::from_bytes(b"a=\xff").unwrap());
        TraceContext::take(&mut bytes, false);
        assert_eq!(said(&bytes, "tracestate"), None);
    }

    #[test]
    fn a_call_is_in_the_trace_of_its_request_whatever_the_guest_says() {
        let mut given = headers(&[("traceparent", PARENT), ("tracestate", "a=1")]);
        let context = TraceContext::take(&mut given, false);
        let span = context.new_span();
        let of_host = format!("00-{TRACE}-{span}-01");
        let copied = format!("00-{TRACE}-{}-01", context.span_id);
        let other = PARENT.replace("4bf9", "4bf8");
        for said_by_guest in [None, Some(&*other), Some("nonsense"), Some(&*copied)] {
            let mut call = HeaderMap::new();
            if let Some(parent) = said_by_guest {
                call.insert("traceparent", HeaderValue::from_str(parent).unwrap());
                call.insert("tracestate", HeaderValue::from_static("forged=1"));
            }
            context.of_call(&mut call, span);
            assert_eq!(
                said(&call, "traceparent"),
                Some(&*of_host),
                "{said_by_guest:?}"
            );
            assert_eq!(said(&call, "tracestate"), Some("a=1"), "{said_by_guest:?}");
        }
        // A span of the guest's own.
        let own = format!("00-{TRACE}-1111111111111111-00");
        let mut call = headers(&[("traceparent", &own), ("tracestate", "guest=1")]);
        context.of_call(&mut call, span);
        assert_eq!(said(&call, "traceparent"), Some(&*own));
        assert_eq!(said(&call, "tracestate"), Some("guest=1"));
    }

    #[test]
    fn a_bound_secret_in_a_field_of_that_name_stays() {
        let context = TraceContext::take(&mut HeaderMap::new(), true);
        let mut secret = HeaderValue::from_static("s3cret");
        secret.set_sensitive(true);
        let mut call = HeaderMap::new();
        call.insert("traceparent", secret);
        context.of_call(&mut call, context.new_span());
        assert_eq!(said(&call, "traceparent"), Some("s3cret"));
    }
}
