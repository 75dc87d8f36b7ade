//! `GET /v1/logs`: who reads what, as it happens, and what is said of what is missing.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{Empty, Full};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};
use webtask_tests::{
    Dns, Event, Http2, Live, SOON, TestHost, claims_for, examples, exchange, guests, lines_of, now,
    wait_for_line,
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
    for event in &events {
        assert_eq!(event.data["request_id"], reply.request_id());
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
async fn a_token_reads_its_own_lines_and_those_of_what_was_made_from_it() {
    let host = TestHost::builder()
        .tenants("read-logs = 'tokens'\n")
        .start()
        .await;
    let root = host.token(guests::LOGGER);
    let (child, other) = (narrowed(&root), host.token(guests::STDOUT));
    let grandchild = attenuate(
        &child,
        &Caveat {
            note: Some("n".into()),
            ..Caveat::default()
        },
    );
    let grandchild = grandchild.expect("valid");
    let mut ids = Vec::new();
    for token in [&root, &child, &grandchild, &other] {
        ids.push(called(&host, token).await);
    }
    assert_eq!(requests(&host, &root).await, ids[..3]);
    assert_eq!(requests(&host, &child).await, ids[1..3]);
    assert_eq!(requests(&host, &grandchild).await, ids[2..3]);
    assert_eq!(requests(&host, &other).await, ids[3..]);
    // What a token of the same tenant reads as it happens is its own as well.
    let mut live = host.live(&child, "").await;
    live.until(|event| event.data["request_id"] == ids[2].as_str() && event.name == "invocation")
        .await;
    called(&host, &root).await;
    called(&host, &other).await;
    let own = called(&host, &child).await;
    let events = live.until(|event| event.name == "invocation").await;
    assert!(
        events
            .iter()
            .all(|event| event.data["request_id"] == own.as_str()),
        "{events:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_reads_its_tenant_and_no_other() {
    let host = TestHost::start().await;
    let (acme, rival) = (issuer(&host, "acme"), issuer(&host, "rival"));
    let minted = mint(&host, &acme, guests::LOGGER).await;
    let theirs = mint(&host, &rival, guests::LOGGER).await;
    let operators = token_of(&host, guests::LOGGER, "acme");
    let small = narrowed(&acme);
    let by_small = mint(&host, &small, guests::LOGGER).await;
    let mut ids = Vec::new();
    for token in [&minted, &theirs, &operators, &by_small] {
        ids.push(called(&host, token).await);
    }
    let of_acme = [ids[0].clone(), ids[2].clone(), ids[3].clone()];
    assert_eq!(requests(&host, &acme).await, of_acme);
    assert_eq!(requests(&host, &rival).await, ids[1..2]);
    // One that was narrowed reads what was minted with it.
    assert_eq!(requests(&host, &small).await, ids[3..]);
    // The tenant of those who have none is no tenant of an issuer's.
    let nobodys = issuer(&host, "default");
    let minted = mint(&host, &nobodys, guests::LOGGER).await;
    called(&host, &host.token(guests::LOGGER)).await;
    let own = called(&host, &minted).await;
    assert_eq!(requests(&host, &nobodys).await, [own]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_on_reads_no_log_unless_the_operator_says_so() {
    let host = TestHost::start().await;
    let whole = host.token(guests::LOGGER);
    let minted = mint(&host, &issuer(&host, "acme"), guests::LOGGER).await;
    let mut claims = claims_for(guests::LOGGER);
    claims.via.push(webtask_token::Carrier::Path);
    let in_urls = host.seal(&claims);
    called(&host, &whole).await;
    assert_eq!(requests(&host, &whole).await.len(), 1);
    for (token, because) in [
        (narrowed(&whole), "narrowed"),
        (minted.clone(), "minted"),
        (in_urls, "URL"),
    ] {
        let reply = host.unread(&token, "", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "denied")
        );
        wait_for_line(reply.request_id(), because).await;
    }
    // What the operator says for all, and what for one tenant, which never gets more.
    for (said, table, [whole, narrower, issues]) in [
        ("nobody", "", [false, false, false]),
        ("issuers", "", [false, false, true]),
        ("whole-tokens", "", [true, false, true]),
        ("tokens", "", [true, true, true]),
        ("tokens", "issuers", [false, false, true]),
        ("issuers", "tokens", [false, false, true]),
    ] {
        let mut toml = format!("read-logs = '{said}'\n");
        if !table.is_empty() {
            toml.push_str(&format!("[tenants.acme]\nread-logs = '{table}'\n"));
        }
        let host = TestHost::builder().tenants(&toml).start().await;
        let token = token_of(&host, guests::LOGGER, "acme");
        for (token, reads) in [
            (token.clone(), whole),
            (narrowed(&token), narrower),
            (issuer(&host, "acme"), issues),
        ] {
            let reply = host.unread(&token, "follow=false", &[]).await;
            assert_eq!(reply.status == 200, reads, "{toml}: {reply:?}");
            assert!(reads || reply.code() == "denied");
        }
    }
    let refusing = TestHost::builder()
        .tenants("unknown-tenants = 'refuse'\n")
        .start()
        .await;
    let reply = refusing
        .unread(&refusing.token(guests::LOGGER), "", &[])
        .await;
    assert_eq!(reply.code(), "denied");
}

/// A page that may not use a token does not read with it either, and one that may reads alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_log_is_for_the_origins_of_its_token() {
    let host = TestHost::builder()
        .tenants("read-logs = 'tokens'\n")
        .start()
        .await;
    let caveat = Caveat {
        origins: Some(vec!["https://shop.example".into()]),
        ..Caveat::default()
    };
    let token = attenuate(&host.token(guests::LOGGER), &caveat).expect("valid");
    for origin in [&[][..], &[("origin", "https://evil.example")]] {
        assert_eq!(
            host.unread(&token, "", origin).await.code(),
            "origin-denied"
        );
    }
    let live = host
        .live_with(&token, "", &[("origin", "https://shop.example")])
        .await;
    assert_eq!(
        live.headers["access-control-allow-origin"],
        "https://shop.example"
    );
    let preflight = Request::options("/v1/logs")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "GET")
        .header(
            "access-control-request-headers",
            "authorization,last-event-id",
        )
        .body(Empty::<Bytes>::new());
    let reply = host.send(preflight.expect("a request")).await;
    assert_eq!(
        reply.headers["access-control-allow-headers"],
        "authorization,last-event-id"
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
    let host = TestHost::builder().dns(&dns.await).start().await;
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
async fn a_revoked_or_expired_token_reads_no_more() {
    let host = TestHost::start().await;
    let token = host.token(guests::LOGGER);
    let mut live = host.live(&token, "").await;
    called(&host, &token).await;
    live.until(|event| event.name == "invocation").await;
    let revoke = Request::post("/v1/revoke")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<Bytes>::new());
    assert_eq!(host.send(revoke.expect("a request")).await.status, 200);
    let rest = live.rest().await;
    assert_eq!(rest.len(), 1, "{rest:#?}");
    assert_eq!(
        (rest[0].name.as_str(), &rest[0].data["code"]),
        ("end", &"token-revoked".into())
    );
    assert_eq!(host.unread(&token, "", &[]).await.code(), "token-revoked");

    let mut claims = claims_for(guests::LOGGER);
    claims.exp = now() + 3;
    let rest = host.live(&host.seal(&claims), "").await.rest().await;
    assert_eq!(rest[0].data["code"], "token-expired", "{rest:#?}");
    assert!(now() <= claims.exp + SOON.as_secs());

    // Its key is gone from the keyring.
    let live = host.live(&host.token(guests::LOGGER), "").await;
    host.replace_keyring(webtask_token::Keyring::generate(None));
    assert_eq!(live.rest().await[0].data["code"], "token-invalid");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_live_logs_are_bounded() {
    let host = TestHost::builder()
        .limits(|limits| (limits.log_readers, limits.tenant_log_readers) = (4, 3))
        .start()
        .await;
    let (token, other) = (host.token(guests::LOGGER), host.token(guests::STDOUT));
    // Half of its tenant's, rounded up, with one token.
    let mut readers = vec![host.live(&token, "").await, host.live(&token, "").await];
    let refused = async |token: &str, limit: &str| {
        let reply = host.unread(token, "", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (429, "log-readers")
        );
        assert_eq!(
            (
                &reply.json()["limit"],
                reply.headers.contains_key("retry-after")
            ),
            (&limit.into(), true)
        );
    };
    refused(&token, "tenant-log-readers").await;
    readers.push(host.live(&other, "").await);
    refused(&other, "tenant-log-readers").await;
    let acme = token_of(&host, guests::LOGGER, "acme");
    readers.push(host.live(&acme, "").await);
    refused(&token_of(&host, guests::LOGGER, "third"), "log-readers").await;
    // Whoever leaves gives his place back.
    let left = readers.remove(0);
    let id = left.headers["webtask-request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    drop(left);
    wait_for_line(&id, "webtask::access").await;
    host.live(&token, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_counts_by_itself() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::LOGGER);
    claims.lim.rate = Some(1);
    let token = host.seal(&claims);
    // Whoever reads uses up no call.
    for _ in 0..5 {
        host.history(&token).await;
    }
    called(&host, &token).await;
    assert_eq!(host.get(&token, "/").await.code(), "rate-limited");
    assert_eq!(requests(&host, &token).await.len(), 1);
    // And is not without a bound: all that is made from one token together.
    let mut begun = 0;
    let refused = loop {
        let reply = host.unread(&token, "follow=false", &[]).await;
        if reply.status != 200 {
            break reply;
        }
        begun += 1;
        assert!(begun < 300, "there is no bound");
    };
    assert_eq!(refused.code(), "rate-limited");
    assert!(begun >= 100, "{begun}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_has_its_lines_and_says_what_is_missing() {
    let host = TestHost::builder()
        .limits(|limits| limits.log_history_lines = 10)
        .start()
        .await;
    let token = token_of(&host, guests::STDOUT, "acme");
    let lines = async |n: u32| {
        let reply = host.get(&token, &format!("/?lines={n}&size=30")).await;
        wait_for_line(reply.request_id(), "webtask::access").await;
    };
    lines(3).await;
    let acme = issuer(&host, "acme");
    let kept = host.history(&acme).await;
    assert_eq!(kept.len(), 4);
    let last = kept[3].id.clone().expect("an id");
    let back = async |id: &str| {
        let fields = [("last-event-id", id)];
        host.live_with(&acme, "follow=false", &fields)
            .await
            .rest()
            .await
    };
    assert_eq!(back(&last).await.len(), 0);
    lines(4).await;
    let missed = back(&last).await;
    assert_eq!((missed.len(), missed[4].name.as_str()), (5, "invocation"));
    // Of 5 + 21 lines after that one ten are there.
    lines(20).await;
    let missed = back(&last).await;
    assert_eq!(missed.len(), 11);
    assert_eq!((missed[0].name.as_str(), &missed[0].id), ("dropped", &None));
    assert_eq!(missed[0].data, json!({ "count": 16, "because": "history" }));
    let restarted = back("ffffffff-12").await;
    assert_eq!(
        restarted[0].data,
        json!({ "count": null, "because": "restart" })
    );
    assert_eq!(restarted.len(), 11);
}

/// Nothing waits for a reader that takes nothing, and it learns how much it lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_keep_up_loses_lines_and_holds_up_nobody() {
    const LINES: u64 = 12_000;
    let host = TestHost::builder()
        .limits(|limits| {
            (limits.log_lines, limits.log_bytes) = (u64::MAX, 64 << 20);
            limits.log_history = 0;
            limits.cpu = SOON;
        })
        .start()
        .await;
    let token = host.token(guests::STDOUT);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("an option");
    let mut slow = socket.connect(host.address).await.expect("it listens");
    let request = format!("GET /v1/logs HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n");
    slow.write_all(request.as_bytes()).await.expect("sent");
    let mut read = vec![0; 12];
    slow.read_exact(&mut read).await.expect("a head");
    assert_eq!(read, b"HTTP/1.1 200");
    let reply = host.get(&token, &format!("/?lines={LINES}&size=400")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // The end of that invocation was lost as well, or is the last to be read.
    let text = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = slow.read(&mut buffer).await.expect("a stream");
            assert_ne!(n, 0, "it ended");
            read.extend_from_slice(&buffer[..n]);
            let text = String::from_utf8_lossy(&read);
            if text.contains("event: dropped") && text.ends_with("\n\n\r\n") {
                break text.into_owned();
            }
        }
    };
    let text = tokio::time::timeout(SOON * 2, text)
        .await
        .expect("it is told");
    let count = |name: &str| text.matches(&format!("event: {name}\n")).count() as u64;
    let dropped: u64 = text
        .split("event: dropped\ndata: ")
        .skip(1)
        .map(|data| {
            let data: Value =
                serde_json::from_str(data.lines().next().expect("a line")).expect("JSON");
            assert_eq!(data["because"], "slow-reader");
            data["count"].as_u64().expect("a number")
        })
        .sum();
    assert!(dropped > 1_000, "{dropped}");
    assert_eq!(
        count("log") + count("invocation") + dropped,
        LINES + 1,
        "{dropped}"
    );
}

/// A guest that logs as much as it may keeps the history of no other tenant from its authors.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_floods_its_log_leaves_others_theirs() {
    let host = TestHost::builder()
        .limits(|limits| (limits.log_history, limits.log_history_total) = (64 << 10, 128 << 10))
        .start()
        .await;
    let quiet = token_of(&host, guests::LOGGER, "quiet");
    let kept = called(&host, &quiet).await;
    let loud = token_of(&host, guests::STDOUT, "loud");
    for _ in 0..5 {
        assert_eq!(host.get(&loud, "/?lines=500&size=100").await.status, 200);
    }
    assert_eq!(requests(&host, &quiet).await, [kept]);
    let bytes: usize = host
        .history(&loud)
        .await
        .iter()
        .map(|event| event.message().len())
        .sum();
    assert!(bytes <= 64 << 10, "{bytes}");
}

/// What a stranger, or a token that is good for nothing, writes is no author's line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_do_not_get_in_write_few_lines_or_none() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    let post_only = attenuate(
        &token,
        &Caveat {
            methods: Some(vec!["POST".into()]),
            ..Caveat::default()
        },
    );
    let post_only = post_only.expect("valid");
    for _ in 0..200 {
        assert_eq!(host.get(&post_only, "/").await.code(), "method-denied");
        assert_eq!(host.get("wt1.x.y.z", "/").await.code(), "token-invalid");
    }
    let events = host.history(&token).await;
    assert!(!events.is_empty(), "the author is told");
    assert!(
        events
            .iter()
            .any(|event| event.message().starts_with("method-denied: "))
    );
    assert!(events.len() < 200, "{}", events.len());
    // The wire: an event stream is read by whoever reads HTTP.
    let request = Request::get("/v1/logs?follow=false")
        .header("host", "x")
        .header("webtask-token", &token);
    let response = exchange(
        host.address,
        request.body(Empty::<Bytes>::new()).expect("a request"),
    );
    let response = tokio::time::timeout(Duration::from_secs(30), response).await;
    assert_eq!(
        response.expect("an answer").headers()["content-type"],
        "text/event-stream"
    );
}
