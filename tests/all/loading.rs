//! What loading may use: time to fetch and to compile, and what is kept of it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use sha2::{Digest as _, Sha256};
use webtask_tests::{Origin, SOON, TestHost, examples, lines_of, names, wait_for_line};

use super::load::{at, hello};

/// An origin that accepts and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_does_not_come_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}/x", silent.local_addr().expect("bound"));
    let host = TestHost::builder()
        .loopback()
        .code(&url)
        .limits(|limits| limits.fetch = Duration::from_millis(300))
        .start()
        .await;
    host.meets(&host.seal(&at(&url)), "", "component-timeout", "fetch")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_was_prepared_is_there_for_the_first_request() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    assert_eq!(host.prepare(&token).await, Ok(()));
    assert_eq!(host.loads().compiled, 1);
    assert_eq!(host.get(&token, "").await.status, 200);
    assert_eq!(host.loads().compiled, 1);
    // What is wrong is said before anybody calls.
    let lacks = host.token(examples::WEBHOOK);
    assert_eq!(host.prepare(&lacks).await, Err("secret-missing"));
    assert_eq!(host.prepare("wt1.x.y.z").await, Err("token-invalid"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compilation_is_given_up_in_time() {
    let host = TestHost::builder()
        .limits(|limits| limits.compile = Duration::ZERO)
        .start()
        .await;
    let reply = host.get(&host.token(examples::HELLO), "").await;
    assert_eq!(reply.code(), "component-timeout");
    assert_eq!(reply.json()["limit"], "compile");
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert_eq!(names(&record), ["compile"], "{record}");
}

/// What does not fit is compiled anew when it is asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compiled_is_kept_within_the_limit() {
    // Bytes that no other test compiles: a custom section at the end.
    let code = [&hello()[..], &[0, 9, 4, b'k', b'e', b'p', b't', 1, 2, 3, 4]].concat();
    let digest: [u8; 32] = Sha256::digest(&code).into();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let served = Bytes::from(code);
    let origin = Origin::start(move |_| Response::new(served.clone())).await;
    let host = TestHost::builder()
        .loopback()
        .code(&origin.url("/"))
        .limits(|limits| limits.cache_bytes = 1)
        .start()
        .await;
    let compiled = || {
        let lines = lines_of(&hex);
        lines
            .iter()
            .filter(|line| line.contains(" compiled "))
            .count()
    };
    let started = Instant::now();
    for n in 0.. {
        // Of another URL, so that no flight is shared.
        let mut claims = at(&origin.url(&format!("/{n}.wasm")));
        claims.sha256 = Some(digest);
        assert_eq!(host.get(&host.seal(&claims), "").await.status, 200);
        if compiled() > 1 {
            return;
        }
        assert!(started.elapsed() < SOON, "it is kept");
    }
}
