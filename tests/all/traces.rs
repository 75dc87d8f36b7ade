//! Trace context: what a guest sees of it, what an origin gets, and how long each part took.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use webtask_tests::{Origin, Reply, TestHost, wait_for_line};

use super::{
    built::guests,
    calls::{loopback, ok},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-00f067aa0ba902b7-{flags}")
}

async fn call(host: &TestHost, token: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut request = Request::get(format!("/run{path}")).header("webtask-token", token);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new());
    host.send(request.expect("a valid request")).await
}

/// The value of a field of a record.
fn number(record: &str, name: &str) -> u64 {
    let said = record
        .split_once(&format!(" {name}="))
        .map(|(_, rest)| rest);
    let digits = said.and_then(|rest| rest.split(' ').next());
    let number = digits.and_then(|digits| digits.parse().ok());
    number.unwrap_or_else(|| panic!("{name} in {record}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_trace_goes_on_in_the_guest_and_the_record() {
    let host = TestHost::start().await;
    let token = host.token(guests::REFLECT);
    let given = parent("01");
    let fields = [("traceparent", &*given), ("tracestate", "vendor=1")];
    let reply = call(&host, &token, "/", &fields).await;
    let seen = reply.json();
    let said = seen["headers"]["traceparent"][0].as_str().expect("a field");
    assert!(
        said.starts_with(&format!("00-{TRACE}-")) && said.ends_with("-01"),
        "{said}"
    );
    assert_ne!(said, given, "the host has a span of its own");
    assert_eq!(seen["headers"]["tracestate"][0], "vendor=1");
    wait_for_line(reply.request_id(), &format!("trace_id={TRACE}")).await;

    // Another one for each request where there is none, or none that is valid.
    let mut traces = Vec::new();
    for fields in [
        vec![],
        vec![],
        vec![("traceparent", "00-nonsense"), ("tracestate", "vendor=1")],
        vec![("traceparent", &*given), ("traceparent", &*given)],
    ] {
        let reply = call(&host, &token, "/", &fields).await;
        let seen = reply.json();
        let said = seen["headers"]["traceparent"].as_array().expect("a field");
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(seen["headers"]["tracestate"].is_null(), "{seen}");
        let said = said[0].as_str().expect("text");
        let trace = said.get(3..35).expect("a trace").to_owned();
        wait_for_line(reply.request_id(), &format!("trace_id={trace}")).await;
        traces.push(trace);
    }
    traces.push(TRACE.to_owned());
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 5, "{traces:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_gets_the_trace_of_the_request_and_no_other() {
    let origin = Origin::start(ok).await;
    let host = loopback().await;
    let url = origin.url("/");
    let token = host.token_with_grants(guests::OUTBOUND, &[&format!("GET {url}")]);
    let given = parent("01");
    let other = given.replace("4bf9", "ffff");
    let own = given.replace("00f067aa0ba902b7", "1111111111111111");
    for (of_guest, kept) in [(None, false), (Some(&other), false), (Some(&own), true)] {
        let mut fields = vec![("traceparent", &*given), ("tracestate", "vendor=1")];
        if let Some(of_guest) = of_guest {
            fields.push(("x-send-traceparent", of_guest));
            fields.push(("x-send-tracestate", "guest=1"));
        }
        let reply = call(&host, &token, &format!("/?method=GET&url={url}"), &fields).await;
        assert_eq!(reply.json()["status"], 200, "{reply:?}");
        let seen = origin.seen().pop().expect("a request");
        let all: Vec<_> = seen.headers.get_all("traceparent").iter().collect();
        assert_eq!(all.len(), 1, "{all:?}");
        let said = all[0].to_str().expect("text");
        let state = seen.headers["tracestate"].to_str().expect("text");
        if kept {
            assert_eq!((said, state), (&*own, "guest=1"));
        } else {
            assert!(said.starts_with(&format!("00-{TRACE}-")), "{said}");
            assert!(said != given && state == "vendor=1", "{said} {state}");
        }
    }
    // Where nothing is granted, nothing arrives.
    let before = origin.seen().len();
    let reply = call(
        &host,
        &host.token(guests::OUTBOUND),
        &format!("/?method=GET&url={url}"),
        &[],
    )
    .await;
    assert_eq!(reply.json()["error"], "denied", "{reply:?}");
    assert_eq!(origin.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_says_how_long_each_part_took() {
    let host = TestHost::start().await;
    let token = host.token(guests::STATUS);
    // It works on for a while after its answer.
    let reply = call(&host, &token, "/?ms=30", &[]).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    let [open, load, instantiate, run, wall] =
        ["open_us", "load_us", "instantiate_us", "run_us", "wall_us"]
            .map(|name| number(&record, name));
    assert!(open > 0 && load > 0 && instantiate > 0, "{record}");
    assert!(run >= 30_000, "{record}");
    assert!(open + load + instantiate + run <= wall, "{record}");
    // What is compiled already is not loaded again.
    let again = call(&host, &token, "/", &[]).await;
    let again = wait_for_line(again.request_id(), "webtask::access").await;
    assert!(number(&again, "load_us") < load, "{record} {again}");

    // A part that is not reached took no time.
    let refused = call(&host, "wt1.x.y.z", "/", &[]).await;
    assert_eq!(refused.status, 401);
    let refused = wait_for_line(refused.request_id(), "webtask::access").await;
    assert_eq!(
        ["load_us", "instantiate_us", "run_us"].map(|name| number(&refused, name)),
        [0; 3]
    );
}
