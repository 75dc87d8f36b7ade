//! What the fuzz targets in `host/fuzz` reach beyond the API; with the feature `fuzz` alone. Each takes bytes as they
//! come from the network, and asserts what must hold of whatever they are.

use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::{audit, carrier, egress::Target, needs, trace::TraceContext};

/// A request of lines: the target, then `name: value`. No token and no field of the host's reaches a guest.
pub fn carrier(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Ok(mut request) = Request::get(lines.next().unwrap_or_default()).body(()) else {
        return;
    };
    *request.headers_mut() = fields(lines);
    let Ok((token, _)) = carrier::take(&mut request) else {
        return;
    };
    assert!(request.uri().path().starts_with('/'));
    for (name, value) in request.headers() {
        assert!(!name.as_str().starts_with("webtask-"));
        let mut parts = value.as_bytes().windows(token.len().max(1));
        assert!(token.is_empty() || !parts.any(|part| part == token.as_bytes()));
    }
}

/// A URL. What is taken has one form, which is taken again and stays.
pub fn target(text: &str) {
    let Ok(uri) = text.parse() else { return };
    if let Ok(target) = Target::of(&uri) {
        let origin = target.origin().parse().expect("an origin is a URL");
        assert_eq!(Target::of(&origin).expect("its own form"), target);
    }
}

/// Fields of a request and of a call. What goes on is one valid `traceparent`, and a bounded `tracestate`.
pub fn trace(bytes: &[u8]) {
    let (incoming, outgoing) = bytes.split_at(bytes.len() / 2);
    let mut headers = fields(incoming.split(|byte| *byte == b'\n'));
    let trace = TraceContext::take(&mut headers, false);
    valid(&headers);
    let mut call = fields(outgoing.split(|byte| *byte == b'\n'));
    trace.of_call(&mut call, trace.new_span());
    let said = call.get("traceparent").map(HeaderValue::as_bytes);
    let id = trace.trace_id.to_string();
    assert_eq!(said.and_then(|said| said.get(3..35)), Some(id.as_bytes()));
}

fn valid(headers: &HeaderMap) {
    let parents = headers.get_all("traceparent").iter();
    assert!(parents.map(HeaderValue::len).eq([55]));
    let mut states = headers.get_all("tracestate").iter();
    assert!(states.next().is_none_or(|state| state.len() <= 512) && states.next().is_none());
}

/// A component, or what says that it is one.
pub fn component(bytes: &[u8]) {
    let _ = audit::imports(bytes);
    let _ = needs::of(bytes);
    if let Ok(needs) = audit::Needs::of(bytes) {
        let (_, _) = (needs.refusals(), needs.facts());
        let wit = needs.to_wit("fuzzed");
        assert!(wit.starts_with("package webtask:audit;"));
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let pairs = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(at)?;
        let name = HeaderName::from_bytes(name).ok()?;
        Some((
            name,
            HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?,
        ))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs.take(1_000) {
        headers.append(name, value);
    }
    headers
}
