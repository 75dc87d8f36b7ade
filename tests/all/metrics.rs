//! What a host counts.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use webtask_tests::{Origin, SOON, TestHost, claims_for, guests, wait_for_line};

/// The value of one line; 0 where there is none.
fn value(text: &str, line: &str) -> f64 {
    let found = text
        .lines()
        .find_map(|said| said.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().expect("a number"))
}

/// Waits until it is true of the counts: a request is counted after its answer is out.
async fn becomes(host: &TestHost, what: &str, holds: impl Fn(&str) -> bool) -> String {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        let text = host.metrics();
        if holds(&text) {
            return text;
        }
        assert!(tokio::time::Instant::now() < until, "{what}: {text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_by_tenant_and_code() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::ECHO);
    claims.tenant = "acme".into();
    let token = host.seal(&claims);
    for _ in 0..3 {
        let request = Request::post("/run").header("webtask-token", &token);
        let request = request.body(Full::new(Bytes::from_static(b"12345")));
        assert_eq!(host.send(request.expect("a request")).await.status, 200);
    }
    assert_eq!(host.get(&host.token(guests::TRAP), "/").await.status, 500);
    assert_eq!(host.get("wt1.k.x.y", "/").await.status, 401);
    let ok = r#"webtask_requests_total{tenant="acme",code="ok"}"#;
    let trap = r#"webtask_requests_total{tenant="default",code="guest-trap"}"#;
    let invalid = r#"webtask_requests_total{tenant="",code="token-invalid"}"#;
    let text = becomes(&host, "five requests", |text| {
        value(text, ok) == 3.0 && value(text, trap) == 1.0 && value(text, invalid) == 1.0
    })
    .await;
    for (line, wanted) in [
        ("webtask_request_duration_seconds_count", 5.0),
        (r#"webtask_phase_duration_seconds_count{phase="open"}"#, 5.0),
        (r#"webtask_phase_duration_seconds_count{phase="load"}"#, 4.0),
        (r#"webtask_phase_duration_seconds_count{phase="run"}"#, 4.0),
        ("webtask_received_bytes_total", 15.0),
        ("webtask_guest_memory_bytes_count", 4.0),
        (r#"webtask_code_cache_lookups_total{result="hit"}"#, 2.0),
        (r#"webtask_code_cache_lookups_total{result="miss"}"#, 2.0),
        ("webtask_code_fetch_duration_seconds_count", 2.0),
        ("webtask_code_compile_duration_seconds_count", 2.0),
        ("webtask_places", 64.0),
        ("webtask_invocations", 0.0),
    ] {
        assert_eq!(value(&text, line), wanted, "{line}: {text}");
    }
    assert!(value(&text, r#"webtask_guest_cpu_seconds_total{tenant="acme"}"#) > 0.0);
    assert!(value(&text, "webtask_start_time_seconds") > 1.7e9, "{text}");
    assert!(text.contains("webtask_build_info{version="), "{text}");
    assert!(text.ends_with("# EOF\n"));
    // As the specification wants it: no name twice, a type for each.
    let mut types: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let all = types.len();
    types.sort_unstable();
    types.dedup();
    assert!(all > 20 && types.len() == all, "{types:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_failures_and_calls_are_counted_and_nothing_of_a_token_is_a_label() {
    let origin = Origin::start(|_| http::Response::new(Bytes::from_static(b"12345678"))).await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.cpu = Duration::from_millis(100))
        .start()
        .await;
    assert_eq!(host.get(&host.token(guests::SPIN), "/").await.status, 504);
    let url = origin.url("/granted?query=s3cret-query");
    let token = host.token_with_grants(
        guests::CALLS,
        &[&format!("POST {}", origin.url("/granted"))],
    );
    let reply = host.get(&token, &format!("/?n=2&up=100&url={url}")).await;
    assert!(reply.text().starts_with("200 8"), "{reply:?}");
    let refused = host
        .get(&token, &format!("/?n=1&url={}", origin.url("/s3cret-path")))
        .await;
    wait_for_line(refused.request_id(), "reason=no-grant").await;
    let mut claims = claims_for(guests::ECHO);
    claims.sha256 = Some([7; 32]);
    assert_eq!(host.get(&host.seal(&claims), "/").await.status, 502);
    claims.url = "file:///nowhere-s3cret/x.wasm".into();
    assert_eq!(host.get(&host.seal(&claims), "/").await.status, 403);
    let calls = "webtask_outbound_calls_total";
    let text = becomes(&host, "calls", |text| {
        value(text, calls) == 3.0
            && value(
                text,
                r#"webtask_requests_total{tenant="default",code="denied"}"#,
            ) == 1.0
    })
    .await;
    for (line, wanted) in [
        (r#"webtask_limits_hit_total{limit="cpu"}"#, 1.0),
        (r#"webtask_outbound_failures_total{reason="no-grant"}"#, 1.0),
        ("webtask_outbound_sent_bytes_total", 200.0),
        ("webtask_outbound_received_bytes_total", 16.0),
    ] {
        assert_eq!(value(&text, line), wanted, "{line}: {text}");
    }
    for never in [
        "s3cret",
        "wt1.",
        "127.0.0.1",
        &origin.address.port().to_string(),
    ] {
        let labels = text.lines().filter(|line| line.contains('{'));
        let found: Vec<_> = labels.filter(|line| line.contains(never)).collect();
        assert!(found.is_empty(), "{never}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_and_who_is_connected_is_counted_as_long_as_it_is_so() {
    let host = TestHost::start().await;
    let token = host.token(guests::PARK);
    let parked = tokio::spawn({
        let (address, token) = (host.address, token.clone());
        async move { webtask_tests::get(address, &token, "/run").await }
    });
    becomes(&host, "one runs", |text| {
        value(text, "webtask_invocations") == 1.0 && value(text, "webtask_connections") == 1.0
    })
    .await;
    // The caller leaves.
    parked.abort();
    becomes(&host, "none runs", |text| {
        value(text, "webtask_invocations") == 0.0
            && value(text, "webtask_connections") == 0.0
            && value(
                text,
                r#"webtask_requests_total{tenant="default",code="caller-left"}"#,
            ) == 1.0
    })
    .await;
}
