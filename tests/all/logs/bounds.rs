//! How much is kept, for how many, and what is said of the rest.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpSocket;
use webtask_tests::{Live, SOON, TestHost, claims_for, examples, exchange, guests, wait_for_line};
use webtask_token::{Caveat, attenuate};

use super::{called, issuer, requests, token_of};

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
    // Both are in the history: who called too often is told to the author.
    assert_eq!(requests(&host, &token).await.len(), 2);
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
    const LINES: u64 = 30_000;
    let host = TestHost::builder()
        .limits(|limits| {
            (limits.log_lines, limits.log_bytes) = (u64::MAX, 64 << 20);
            limits.log_history = 0;
            limits.cpu = SOON * 2;
            // Longer than the run takes, on any machine.
            limits.stall = SOON * 20;
        })
        .start()
        .await;
    let token = host.token(guests::STDOUT);
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("an option");
    let slow = socket.connect(host.address).await.expect("it listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(slow))
        .await
        .expect("a connection");
    tokio::spawn(connection);
    let request = Request::get("/v1/logs")
        .header("host", "x")
        .header("webtask-token", &token);
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).expect("a request"));
    let mut live = Live::of(response.await.expect("a head"));
    let reply = host.get(&token, &format!("/?lines={LINES}&size=400")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // Nothing was read of it so far, and now all that is there is.
    let (mut read, mut dropped) = (0, 0);
    while read + dropped < LINES + 1 {
        let event = live.next().await.expect("more");
        match event.name.as_str() {
            "dropped" => {
                assert_eq!(event.data["because"], "slow-reader");
                dropped += event.data["count"].as_u64().expect("a number");
            }
            _ => read += 1,
        }
    }
    println!("{read} were read, {dropped} dropped");
    assert_eq!(read + dropped, LINES + 1);
    assert!(dropped > 0 && read > 1_000, "{read}, {dropped}");
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
