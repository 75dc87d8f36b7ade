//! Outbound calls: grants, the address filter, redirects, header fields.

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webtask_tests::{Origin, Reply, TestHost, claims_for, wait_for_line};

use super::built::guests;

fn ok(text: &'static str) -> Response<Bytes> {
    Response::new(Bytes::from_static(text.as_bytes()))
}

/// Calls the guest `outbound` with what it is to fetch.
async fn outbound(host: &TestHost, token: &str, url: &str) -> Reply {
    let reply = host.get(token, &format!("/?method=GET&url={url}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granted_call_arrives_and_its_answer_comes_back() {
    let origin = Origin::start(|_| ok("from the origin")).await;
    let host = TestHost::builder().loopback().start().await;
    let token =
        host.token_with_grants(guests::OUTBOUND, &[&format!("GET {}", origin.url("/v1/*"))]);
    let reply = outbound(&host, &token, &origin.url("/v1/things")).await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    assert_eq!(reply.json()["body"], "from the origin");
    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/v1/things");
    assert_eq!(seen[0].headers["host"], origin.address.to_string());
    assert!(
        seen[0]
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("webtask-")),
        "{:?}",
        seen[0].headers
    );
}

/// Trap 7: without a grant there is nothing, and the log says what would grant it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_7_an_ungranted_call_is_denied_and_the_log_names_the_flag() {
    let origin = Origin::start(|_| ok("never")).await;
    let host = TestHost::builder().loopback().start().await;
    let wanted = origin.url("/v1/things");
    for grants in [
        vec![],
        vec![format!("POST {wanted}")],
        vec![format!("GET {}", origin.url("/v2/*"))],
        vec!["GET http://127.0.0.1:1/*".to_owned()],
    ] {
        let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
        let token = host.token_with_grants(guests::OUTBOUND, &grants);
        let reply = outbound(&host, &token, &wanted).await;
        assert_eq!(reply.json()["error"], "denied", "{grants:?}: {reply:?}");
        wait_for_line(reply.request_id(), &format!("--allow 'GET {wanted}'")).await;
    }
    assert!(origin.seen().is_empty());
}

/// Trap 3: a granted name that resolves to loopback, and literal spellings of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_a_granted_name_that_resolves_to_loopback_is_refused() {
    let origin = Origin::start(|_| ok("never")).await;
    let port = origin.address.port();
    // Even a host that opens loopback opens it to literal addresses only.
    for host in [
        TestHost::start().await,
        TestHost::builder().loopback().start().await,
    ] {
        let url = format!("http://localhost:{port}/");
        let token = host.token_with_grants(guests::OUTBOUND, &[&format!("GET {url}")]);
        let reply = outbound(&host, &token, &url).await;
        assert_eq!(reply.json()["error"], "destination-prohibited", "{reply:?}");
        wait_for_line(reply.request_id(), "not a public address").await;
    }
    let host = TestHost::start().await;
    let token = host.token_with_grants(
        guests::OUTBOUND,
        &[
            &format!("GET http://127.0.0.1:{port}/"),
            "GET http://169.254.169.254/*",
        ],
    );
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        "http://169.254.169.254/latest/".into(),
    ] {
        let reply = outbound(&host, &token, &url).await;
        assert_eq!(
            reply.json()["error"],
            "destination-prohibited",
            "{url}: {reply:?}"
        );
    }
    assert!(origin.seen().is_empty());
}

/// Trap 2: the host follows nothing, and the guest's own next request is checked anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_a_redirect_is_not_followed_and_leads_nowhere_new() {
    let elsewhere = Origin::start(|_| ok("never")).await;
    let target = elsewhere.url("/stolen");
    let location = target.clone();
    let origin = Origin::start(move |_| {
        Response::builder()
            .status(302)
            .header("location", location.as_str())
            .body(Bytes::new())
            .expect("a response")
    })
    .await;
    let host = TestHost::builder().loopback().start().await;
    let token = host.token_with_grants(guests::OUTBOUND, &[&format!("GET {}", origin.url("/*"))]);
    let reply = outbound(&host, &token, &origin.url("/")).await;
    assert_eq!(reply.json()["status"], 302, "{reply:?}");
    assert_eq!(reply.json()["location"], target);
    let reply = outbound(&host, &token, &target).await;
    assert_eq!(reply.json()["error"], "denied", "{reply:?}");
    assert!(elsewhere.seen().is_empty());
}

/// Tricks with the path do not leave the granted prefix.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_only_begins_like_the_granted_one_is_denied() {
    let origin = Origin::start(|_| ok("never")).await;
    let host = TestHost::builder().loopback().start().await;
    let token =
        host.token_with_grants(guests::OUTBOUND, &[&format!("GET {}", origin.url("/v1/*"))]);
    for path in [
        "/v1",
        "/v1x",
        "/v1/../admin",
        "/v1/%252e%252e/admin",
        "/v1/..;/admin",
        "/v1//admin",
        "/V1/x",
        "/",
    ] {
        let reply = outbound(&host, &token, &origin.url(path)).await;
        let reached = origin
            .seen()
            .iter()
            .any(|seen| !seen.path.starts_with("/v1/") || seen.path.contains(".."));
        assert!(!reached, "{path}: {:?}", origin.seen());
        assert_eq!(reply.json()["error"], "denied", "{path}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbound_calls_are_counted() {
    let origin = Origin::start(|_| ok("again")).await;
    let host = TestHost::builder().loopback().start().await;
    let mut claims = claims_for(guests::OUTBOUND);
    claims.out = vec![
        format!("GET {}", origin.url("/*"))
            .parse()
            .expect("a grant"),
    ];
    claims.lim.calls = Some(0);
    let reply = outbound(&host, &host.seal(&claims), &origin.url("/")).await;
    assert!(reply.json()["error"].is_string(), "{reply:?}");
    wait_for_line(reply.request_id(), "limit calls").await;
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_down_is_a_typed_error() {
    let gone = Origin::start(|_| ok("never")).await;
    let url = gone.url("/");
    drop(gone);
    let host = TestHost::builder().loopback().start().await;
    let token = host.token_with_grants(guests::OUTBOUND, &[&format!("GET {url}")]);
    let reply = outbound(&host, &token, &url).await;
    assert_eq!(reply.json()["error"], "connect", "{reply:?}");
}

/// Calls beyond the limit are refused at once, and those that are done make room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outbound_calls_at_the_same_time_are_bounded() {
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.concurrent_calls = 2)
        .start()
        .await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = silent.local_addr().expect("bound");
    let mut claims = claims_for(guests::CALLS);
    claims.out = vec![format!("* http://{address}/").parse().expect("a grant")];
    claims.tenant = format!("at-{}", address.port());
    let (token, tenant) = (host.seal(&claims), claims.tenant);
    let path = format!("/?n=3&wide=3&url=http://{address}/");
    let answered = async {
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(silent.accept().await.expect("a connection").0);
        }
        // The third was refused while both were under way.
        wait_for_line(&tenant, "reason=too-many-calls").await;
        for mut stream in held {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.expect("an answer is taken");
        }
    };
    let (reply, ()) = tokio::join!(host.get(&token, &path), answered);
    let good = reply.text().lines().filter(|line| *line == "200 2");
    assert_eq!(
        (good.count(), reply.text().lines().count()),
        (2, 3),
        "{reply:?}"
    );

    let origin = Origin::start(|_| ok("again")).await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {}", origin.url("/"))]);
    let path = format!("/?n=6&wide=2&url={}", origin.url("/"));
    let reply = host.get(&token, &path).await;
    assert_eq!(reply.text(), ["200 5"; 6].join("\n"));
}
