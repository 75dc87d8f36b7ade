//! Spans: what a collector gets, that it gets no secret, and that it slows nobody when it is gone.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message as _;
use webtask_host::Traces;
use webtask_tests::{Authority, Origin, Raw, TestHost, Then, claims_for, guests};
use webtask_token::{Grant, Secret, SecretClaim};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The spans of all that arrived.
fn spans(collector: &Origin) -> Vec<Span> {
    let seen = collector.seen().into_iter();
    let batches = seen.map(|seen| {
        assert_eq!(seen.headers["content-type"], "application/x-protobuf");
        assert_eq!(seen.path, "/v1/traces");
        ExportTraceServiceRequest::decode(seen.body).expect("a batch")
    });
    let resources = batches.flat_map(|batch| batch.resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("{name} in {spans:#?}"));
    assert!(found.next().is_none(), "{name} twice");
    span
}

async fn collector() -> Origin {
    Origin::start(|_| Response::new(Bytes::new())).await
}

fn to(collector: &Origin) -> Traces {
    Traces::to(collector.url("/v1/traces"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_the_request_its_parts_and_its_calls() {
    let collector = collector().await;
    let origin = Origin::start(|_| Response::new(Bytes::from_static(b"from the origin"))).await;
    let host = TestHost::builder()
        .loopback()
        .traces(to(&collector))
        .start()
        .await;
    let url = origin.url("/things");
    let token = host.token_with_grants(guests::OUTBOUND, &[&format!("GET {url}")]);
    let request = Request::get(format!("/run?method=GET&url={url}"))
        .header("webtask-token", &token)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let reply = host.send(request).await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    let called = origin.seen().pop().expect("a call").headers["traceparent"].clone();
    host.stop().await;

    let spans = spans(&collector);
    assert_eq!(spans.len(), 6, "{spans:#?}");
    let server = named(&spans, "GET /run/{rest}");
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(hex(&server.parent_span_id), "00f067aa0ba902b7");
    assert_eq!(server.kind, 2, "a server's");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/run/{rest}"),
        ("webtask.code", "ok"),
        ("webtask.tenant", "default"),
        ("webtask.request_id", reply.request_id()),
    ] {
        assert_eq!(attribute(server, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(
        attribute(server, "webtask.digest").map(|digest| digest.len()),
        Some(64)
    );
    assert_eq!(
        attribute(server, "webtask.token_id").map(|id| id.len()),
        Some(32)
    );
    let mut before = server.start_time_unix_nano;
    for part in ["open", "load", "instantiate", "run"] {
        let part = named(&spans, part);
        assert_eq!(part.parent_span_id, server.span_id);
        assert!(part.start_time_unix_nano >= before, "{part:?}");
        before = part.end_time_unix_nano;
    }
    assert!(before <= server.end_time_unix_nano);
    let call = named(&spans, "GET");
    assert_eq!((call.kind, &call.parent_span_id), (3, &server.span_id));
    assert_eq!(
        attribute(call, "server.address").as_deref(),
        Some("127.0.0.1")
    );
    let port = origin.address.port().to_string();
    assert_eq!(attribute(call, "server.port"), Some(port));
    assert_eq!(
        attribute(call, "http.response.status_code").as_deref(),
        Some("200")
    );
    let named_by_origin = called.to_str().expect("text").get(36..52).expect("a span");
    assert_eq!(hex(&call.span_id), named_by_origin);
}

/// Trap 20: spans are read by more people than tokens are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_20_no_token_secret_path_or_query_is_in_a_span() {
    let collector = collector().await;
    let origin = Origin::start(|_| Response::new(Bytes::new())).await;
    let host = TestHost::builder()
        .loopback()
        .traces(to(&collector))
        .start()
        .await;
    let url = origin.url("/s3cret-path?s3cret-query=1");
    let mut claims = claims_for(guests::OUTBOUND);
    let grant: Grant = format!("* {}", origin.url("/*")).parse().expect("a grant");
    claims.out = vec![grant];
    claims.via = vec![webtask_token::Carrier::Path];
    let secret = SecretClaim {
        value: Secret::new("s3cret-value".to_owned()),
        slots: Vec::new(),
    };
    claims.secrets.insert("s3cret-name".to_owned(), secret);
    claims
        .params
        .insert("p".to_owned(), "s3cret-param".to_owned());
    let token = host.seal(&claims);
    let in_header = host
        .get(&token, &format!("/s3cret-rest?method=GET&url={url}"))
        .await;
    assert_eq!(in_header.status, 200, "{in_header:?}");
    let path = format!("/t/{token}/s3cret-rest?method=POST&url={url}");
    assert_eq!(
        webtask_tests::get_path(host.address, &path).await.status,
        200
    );
    // A failure has causes, which stay in the log.
    claims.url = "https://s3cret-code.example/x.wasm?s3cret-query".to_owned();
    assert_eq!(host.get(&host.seal(&claims), "/").await.status, 403);
    let odd = Request::builder().method("S3CRET").uri("/run?s3cret-query");
    let odd = odd
        .header("authorization", format!("Bearer {token}"))
        .header("user-agent", "s3cret-agent")
        .header("tracestate", format!("a={}", &token[..200]));
    host.send(odd.body(Empty::<Bytes>::new()).expect("a request"))
        .await;
    host.stop().await;
    assert!(spans(&collector).len() >= 15);
    let sent: Vec<u8> = collector
        .seen()
        .iter()
        .flat_map(|seen| seen.body.to_vec())
        .collect();
    let text = String::from_utf8_lossy(&sent).to_lowercase();
    for never in ["s3cret", "wt1.", &token[10..40].to_lowercase()] {
        assert!(!text.contains(never), "{never} in {text}");
    }
    assert!(
        text.contains("webtask.tenant"),
        "the search finds what is there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_go_over_tls_with_the_same_roots() {
    let authority = Authority::new();
    let tls = authority.acceptor("127.0.0.1", &["http/1.1"]);
    let collector = Origin::tls(tls, |_| Response::new(Bytes::new())).await;
    for (trusted, arrive) in [(true, true), (false, false)] {
        let mut builder = TestHost::builder().traces(to(&collector));
        if trusted {
            builder = builder.ca(&authority.file());
        }
        let host = builder.start().await;
        let before = spans(&collector).len();
        assert_eq!(host.get(&host.token(guests::ECHO), "/").await.status, 200);
        host.stop().await;
        assert_eq!(
            spans(&collector).len() > before,
            arrive,
            "trusted: {trusted}"
        );
    }
}

/// Of a trace that its caller does not record, nothing is exported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_not_sampled_is_not_exported() {
    let collector = collector().await;
    let host = TestHost::builder().traces(to(&collector)).start().await;
    let token = host.token(guests::ECHO);
    let with = async |flags: &str| {
        let request = Request::get("/run").header("webtask-token", &token);
        let request = request.header(
            "traceparent",
            format!("00-{TRACE}-00f067aa0ba902b7-{flags}"),
        );
        host.send(request.body(Empty::<Bytes>::new()).expect("a request"))
            .await
    };
    assert_eq!(with("00").await.status, 200);
    assert_eq!(with("01").await.status, 200);
    host.stop().await;
    let spans = spans(&collector);
    assert_eq!(spans.len(), 5, "{spans:#?}");
}

/// A collector that keeps silent, and one that is gone: requests are as fast as ever, spans are dropped and
/// counted, and the process ends in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_slow_or_gone_slows_nobody() {
    let silent = Raw::start(Bytes::new(), Then::Wait).await;
    let nobody: SocketAddr = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        listener.local_addr().expect("bound")
    };
    for endpoint in [
        format!("{}v1/traces", silent.url),
        format!("http://{nobody}/v1/traces"),
    ] {
        let mut traces = Traces::to(&endpoint);
        (traces.queue, traces.timeout) = (32, Duration::from_millis(500));
        let host = TestHost::builder().traces(traces).start().await;
        let token = host.token(guests::ECHO);
        // Five spans each: the queue is full after a few, whatever the exporter does.
        for _ in 0..100 {
            let reply = host.get(&token, "/").await;
            assert_eq!(reply.status, 200, "{endpoint}: {reply:?}");
        }
        let text = host.metrics();
        let dropped = text
            .lines()
            .find_map(|line| line.strip_prefix("webtask_spans_dropped_total "))
            .and_then(|count| count.parse::<u64>().ok())
            .expect("a count");
        assert!(dropped > 0, "{endpoint}: {text}");
        assert!(
            text.contains("webtask_spans_exported_total 0\n"),
            "{endpoint}: {text}"
        );
        host.stop().await;
    }
}

/// What an endpoint cannot be is told when the host starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_none_is_told_at_the_start_without_its_password() {
    for bad in [
        "collector",
        "ftp://collector:4318/",
        "http://user:s3cret@collector/v1/traces",
    ] {
        let config = webtask_host::Config {
            traces: Some(Traces::to(bad)),
            ..webtask_host::Config::new(webtask_token::Keyring::generate(None), Vec::new())
        };
        let error = webtask_host::Host::new(config).expect_err("no endpoint");
        let said = webtask_host::chain(&error);
        assert!(
            said.contains("is no endpoint") && !said.contains("s3cret"),
            "{said}"
        );
    }
}
