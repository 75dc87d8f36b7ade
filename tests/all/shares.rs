//! What one holder of a token, or one tenant, leaves to all others.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use webtask_tests::{Reply, SOON, TestHost, claims_for, examples, guests, lines_of, wait_for_line};

async fn revoke(host: &TestHost, token: &str) -> Reply {
    let request = Request::post("/v1/revoke").header("webtask-token", token);
    let request = request.body(Full::<Bytes>::default());
    host.send(request.expect("a request")).await
}

/// Answers that are read slowly hold no place of a run, and are bounded for each token by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_one_token_that_nobody_reads_leave_room_for_others() {
    let host = TestHost::builder()
        .limits(|limits| limits.connections = 16)
        .start()
        .await;
    let token = host.token(guests::BIGRESPONSE);
    let mut silent = Vec::new();
    // A quarter of them.
    for _ in 0..4 {
        let mut stream = TcpStream::connect(host.address).await.expect("it listens");
        let request = format!(
            "GET /run/?bytes=60000000 HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        silent.push(stream);
    }
    let started = std::time::Instant::now();
    let refused = loop {
        let reply = host.get(&token, "/?bytes=1").await;
        if reply.status != 200 {
            break reply;
        }
        assert!(started.elapsed() < SOON, "any number of them is taken");
    };
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "overloaded")
    );
    assert_eq!(refused.json()["limit"], "connections");
    assert_eq!(host.get(&host.token(examples::HELLO), "").await.status, 200);
    drop(silent);
}

/// Whoever stole a token and calls it without end does not stop it from being revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_keeps_an_owner_from_revoking() {
    let host = TestHost::builder()
        .tenants("[tenants.default]\nrate = 1\n")
        .start()
        .await;
    let mut claims = claims_for(examples::HELLO);
    claims.lim.rate = Some(1);
    let stolen = host.seal(&claims);
    assert_eq!(host.get(&stolen, "").await.status, 200);
    assert_eq!(host.get(&stolen, "").await.code(), "rate-limited");
    assert_eq!(revoke(&host, &stolen).await.status, 200);
    assert_eq!(host.get(&stolen, "").await.code(), "token-revoked");
}

/// A token that is revoked was valid once, and meets no rate any more: it writes no more than none at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_good_for_nothing_write_few_lines() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    assert_eq!(revoke(&host, &token).await.status, 200);
    let began = std::time::Instant::now();
    let mut first = None;
    for _ in 0..1_000 {
        let reply = host.get(&token, "").await;
        assert_eq!(reply.code(), "token-revoked");
        first.get_or_insert_with(|| reply.request_id().to_owned());
    }
    // One that is good for something has its record beside them.
    let reply = host.get(&host.token(guests::COUNTER), "").await;
    wait_for_line(reply.request_id(), "webtask::access").await;
    let first = first.expect("a request");
    let process = first.split('-').next().expect("the host's part of an id");
    let lines = lines_of(process);
    let of_revoked = lines.iter().filter(|line| line.contains("token-revoked"));
    let (records, seconds) = (of_revoked.count() as u64, began.elapsed().as_secs() + 2);
    assert!(
        (2..=seconds * 40).contains(&records),
        "{records} lines in {seconds} s"
    );
    assert!(records < 1_500, "some were left out");
}
