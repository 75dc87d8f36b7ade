//! `GET /v1/logs`: what is read, as it happens, and how it ends.

mod bounds;
mod scope;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{Empty, Full};
use serde_json::json;
use webtask_tests::{
    Dns, Event, Http2, Live, SOON, TestHost, claims_for, guests, lines_of, now, wait_for_line,
};
use webtask_token::{Caveat, Ceiling, Claims, Kind, attenuate};

fn narrowed(token: &str) -> String {
    let caveat = Caveat {
        params: [("user".to_owned(), "42".to_owned())].into(),
        ..Caveat::default()
    };
    attenuate(token, &caveat).expect("valid")
}

fn token_of(host: &TestHost, wasm: &str, tenant: &str) -> String {
    let mut claims = claims_for(wasm);
    claims.tenant = tenant.into();
    host.seal(&claims)
}

fn issuer(host: &TestHost, tenant: &str) -> String {
    let logger = claims_for(guests::LOGGER);
    let directory = logger.url.rsplit_once('/').expect("a path").0;
    let mut ceiling = Ceiling::new(vec![format!("{directory}/*")], 3_600);
    ceiling.params = vec!["user".into()];
    let mut claims = Claims::new("", now());
    claims.tenant = tenant.into();
    claims.kind = Kind::Issue(Box::new(ceiling));
    host.seal(&claims)
}

async fn mint(host: &TestHost, issuer: &str, wasm: &str) -> String {
    let claims = claims_for(wasm);
    let digest = claims.sha256.expect("pinned");
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let asked = json!({ "url": claims.url, "sha256": digest, "expires": 600 });
    let request = Request::post("/v1/tokens")
        .header("authorization", format!("Bearer {issuer}"))
        .body(Full::new(Bytes::from(asked.to_string())));
    let minted = host.send(request.expect("a request")).await;
    minted.json()["token"].as_str().expect("a token").to_owned()
}

/// The id of a request with this token.
async fn called(host: &TestHost, token: &str) -> String {
    let reply = host.get(token, "/").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    wait_for_line(reply.request_id(), "webtask::access").await;
    reply.request_id().to_owned()
}

/// The ids of the requests whose lines are in the history of `token`.
async fn requests(host: &TestHost, token: &str) -> Vec<String> {
    let events = host.history(token).await;
    let ended = events.iter().filter(|event| event.name == "invocation");
    let id = |event: &Event| event.data["request_id"].as_str().expect("an id").to_owned();
    ended.map(id).collect()
}

/// Each of this request, in their order, with an id of its own, a time, and nothing that a terminal acts on.
fn well_formed(events: &[Event], request_id: &str) {
    for event in events {
        assert_eq!(event.data["request_id"], request_id);
        let time = event.data["time"].as_str().expect("a time");
        assert!(
            time.len() == 24 && time.starts_with("20") && time.ends_with('Z'),
            "{time}"
        );
        let text = event.message();
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    }
    // In their order, each with an id of its own.
    let ids: Vec<_> = events
        .iter()
        .map(|event| event.id.clone().expect("an id"))
        .collect();
    let number = |id: &String| u64::from_str_radix(id.split_once('-').expect("two parts").1, 16);
    let numbers: Vec<_> = ids.iter().map(|id| number(id).expect("a number")).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_author_reads_what_a_webtask_logs_as_it_happens() {
    let host = TestHost::start().await;
    let token = host.token(guests::LOGGER);
    let mut live = host
        .live_with(&token, "", &[("origin", "https://author.example")])
        .await;
    for (name, value) in [
        ("cache-control", "no-store"),
        ("webtask-source", "host"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(live.headers[name], value);
    }
    let reply = host.get(&token, "/").await;
    let events = live.until(|event| event.name == "invocation").await;
    let (ended, lines) = events.split_last().expect("one at least");
    let of = |level: &str, context: &str, message: &str| {
        lines.iter().any(|event| {
            event.name == "log"
                && event.data["level"] == level
                && event.data["context"] == context
                && event.message() == message
        })
    };
    for level in ["trace", "debug", "info", "warn", "error"] {
        let article = if level == "info" || level == "error" {
            "an"
        } else {
            "a"
        };
        let message = format!("{article} {level} line");
        let said = lines.iter().find(|event| event.message() == message);
        assert_eq!(
            said.map(|event| &event.data["level"]),
            Some(&level.into()),
            "{lines:#?}"
        );
    }
    assert!(of("info", "stdout", "a line on stdout") && of("warn", "stderr", "a line on stderr"));
    well_formed(&events, reply.request_id());
    let data = &ended.data;
    assert_eq!(
        (&data["status"], &data["code"], &data["method"]),
        (&200.into(), &"ok".into(), &"GET".into())
    );
    assert!(data["run_ms"].as_f64() > Some(0.0) && data["ms"].as_f64() > data["run_ms"].as_f64());
    assert_eq!(data["component"].as_str().map(str::len), Some(64));
    // The access record of a reader says that all was well.
    let id = live.headers["webtask-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    drop(live);
    let record = wait_for_line(&id, "webtask::access").await;
    assert!(
        record.contains("code=\"ok\"") && record.contains("status=200"),
        "{record}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_reader_is_refused() {
    let host = TestHost::start().await;
    let token = host.token(guests::LOGGER);
    for query in [
        "level=all",
        "follow=maybe",
        "tenant=other",
        &format!("text={}", "x".repeat(257)),
    ] {
        assert_eq!(
            host.unread(&token, query, &[]).await.code(),
            "bad-request",
            "{query}"
        );
    }
    assert_eq!(host.unread("", "", &[]).await.code(), "token-missing");
    assert_eq!(
        host.unread("wt1.x.y.z", "", &[]).await.code(),
        "token-invalid"
    );
    for method in [Method::POST, Method::HEAD, Method::DELETE] {
        let request = Request::builder()
            .method(&method)
            .uri("/v1/logs")
            .header("authorization", format!("Bearer {token}"))
            .body(Empty::<Bytes>::new());
        let reply = host.send(request.expect("a request")).await;
        assert_eq!(reply.status, 404, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_gets_the_level_and_the_text_that_it_asks_for() {
    let host = TestHost::start().await;
    let token = host.token(guests::LOGGER);
    let first = called(&host, &token).await;
    let second = called(&host, &token).await;
    let messages = async |query: &str| -> Vec<String> {
        let live = host.live(&token, &format!("follow=false&{query}")).await;
        let events = live.rest().await.into_iter();
        events.map(|event| event.message().to_owned()).collect()
    };
    let warnings = messages(&format!("level=warn&text={first}")).await;
    assert_eq!(
        warnings,
        ["a warn line", "an error line", "a line on stderr"]
    );
    assert_eq!(messages("text=on%20stdout").await, ["a line on stdout"; 2]);
    let of_second = host
        .live(&token, &format!("follow=false&text={second}"))
        .await
        .rest()
        .await;
    assert!(
        of_second
            .iter()
            .all(|event| event.data["request_id"] == second.as_str())
    );
    assert_eq!(messages("text=nothing-of-it").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_a_live_log() {
    let host = TestHost::start().await;
    let value = "S3cret-Valu3/x y";
    let token = host.token_with_secrets(guests::SECRETS, &[("key", value)]);
    let reply = host.get(&token, "/?get=key&print").await;
    assert_eq!(reply.code(), "guest-trap");
    let events = host.told(&token, reply.request_id()).await;
    let text: String = events.iter().map(|event| event.data.to_string()).collect();
    assert!(
        text.contains("logged [secret key] and [secret key]"),
        "{text}"
    );
    assert!(
        !text.contains("S3cret") && !text.contains("Valu3"),
        "{text}"
    );
    // What a reader looks for is held against what is shown.
    let query = "follow=false&text=S3cret";
    assert!(host.live(&token, query).await.rest().await.is_empty());
    assert!(!text.contains("wt1."), "{text}");
}

/// What is behind a name is the operator's to know, and his log has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_log_tells_nothing_of_the_operators_network() {
    let dns = Dns::start(|name, _| match name {
        "inside.test" => Some(vec!["10.20.30.40".parse().expect("an address")]),
        _ => Some(Vec::new()),
    });
    let dns = dns.await;
    let host = TestHost::builder().dns(&dns).start().await;
    for (name, because) in [
        ("inside.test", "has no public address"),
        ("none.test", "cannot resolve"),
    ] {
        let url = format!("http://{name}/");
        let token = host.token_with_grants(guests::CALLS, &[&format!("* {url}")]);
        let reply = host.get(&token, &format!("/?n=1&url={url}")).await;
        let told = host.told(&token, reply.request_id()).await;
        let line = told
            .iter()
            .find(|event| event.message().contains("reason="));
        let line = line.expect("a denial").message();
        assert!(line.contains(name) && line.contains(because), "{line}");
        assert!(
            !line.contains("10.20.30.40") && !line.contains("127.0.0.1"),
            "{line}"
        );
    }
    assert!(
        lines_of("10.20.30.40")
            .iter()
            .any(|line| line.contains("webtask::guest"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_logs_do_not_hold_up_the_end() {
    let mut host = TestHost::start().await;
    let token = host.token(guests::LOGGER);
    let live = host.live(&token, "").await;
    let http2 = Http2::connect(host.address).await;
    let request = Request::get("http://host.example/v1/logs").header("webtask-token", &token);
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    let over_http2 = Live::of(http2.begin(request).await.expect("a head"));
    host.end();
    for live in [live, over_http2] {
        let rest = live.rest().await;
        assert_eq!(
            rest.last().map(|event| event.data["code"].clone()),
            Some("draining".into())
        );
    }
    tokio::time::timeout(SOON, host.ended())
        .await
        .expect("long before it has to");
}
