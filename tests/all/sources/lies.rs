//! Origins that lie, or do not end.

use std::time::Duration;

use http::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webtask_tests::{Authority, Origin, Raw, TestHost, Then, wait_for_line};

use super::{HELLO, Shelf, answers, code, fails, hello, unpinned, with};

async fn host(url: &str, fetch: Duration) -> TestHost {
    TestHost::builder()
        .loopback()
        .code(url)
        .limits(|limits| limits.fetch = fetch)
        .start()
        .await
}

const LONG: Duration = Duration::from_secs(3600);

/// Answers with `bytes`, and holds the error and the reason in the log.
async fn says(bytes: &[u8], then: Then, error: &str, reason: &str) {
    let origin = Raw::start(bytes.to_vec(), then).await;
    let host = host(&origin.url, LONG).await;
    let reply = fails(&host, &unpinned(&host, &origin.url), error).await;
    wait_for_line(reply.request_id(), reason).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_or_a_coding_is_no_code() {
    for (status, fields, reason) in [
        (200, &[("content-encoding", "gzip")][..], "coding"),
        (200, &[("content-encoding", "br, identity")], "coding"),
        (206, &[("content-range", "bytes 0-5/6")], "206"),
        (203, &[], "203"),
        (304, &[], "304"),
    ] {
        let shelf = Shelf::start(move |_| match status {
            304 => with(304, bytes::Bytes::new(), fields),
            _ => with(status, hello(), fields),
        })
        .await;
        let host = shelf.host().await;
        let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
        let reply = fails(&host, &token, "component-fetch").await;
        wait_for_line(reply.request_id(), reason).await;
    }
    // The bytes say what they are, not the type.
    let shelf = Shelf::start(|_| {
        code(
            hello(),
            &[
                ("content-type", "text/html"),
                ("content-encoding", "identity"),
            ],
        )
    })
    .await;
    let host = shelf.host().await;
    answers(&host, &unpinned(&host, &shelf.origin.url("/a.wasm")), HELLO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_that_is_not_the_bodys_is_no_code() {
    says(
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\0asm\x0d\0\x01\0",
        Then::Close,
        "component-fetch",
        "cannot fetch",
    )
    .await;
    says(
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n\0asm\x0d\0\x01\0",
        Then::Close,
        "component-fetch",
        "cannot fetch",
    )
    .await;
    says(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n\0asm\x0d\0\x01\0\r\n",
        Then::Close,
        "component-fetch",
        "cannot fetch",
    )
    .await;
    // Refused by what it says, before any of it comes.
    says(
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        Then::Wait,
        "component-too-large",
        "larger than",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_pauses_or_does_not_end_is_given_up() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\0asm";
    let origin = Raw::start(head.to_vec(), Then::Wait).await;
    let short = Duration::from_secs(2);
    let paused = host(&origin.url, short).await;
    let reply = fails(&paused, &unpinned(&paused, &origin.url), "component-fetch").await;
    wait_for_line(reply.request_id(), "sent nothing for 1s").await;
    let origin = Raw::serve(|mut stream| async move {
        let mut byte = [0; 256];
        let _ = stream.read(&mut byte).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let slow = host(&origin.url, short).await;
    fails(&slow, &unpinned(&slow, &origin.url), "component-timeout").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_comes_from_origins_of_http_2_as_well() {
    let authority = Authority::new();
    let origin = Origin::tls(authority.acceptor("127.0.0.1", &["h2"]), |_| {
        code(hello(), &[])
    })
    .await;
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .code(&origin.url("/"))
        .start()
        .await;
    answers(&host, &unpinned(&host, &origin.url("/a.wasm")), HELLO).await;
    assert_eq!(origin.seen()[0].version, Version::HTTP_2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_of_another_scheme_is_in_no_token_and_in_no_list() {
    let keyring = webtask_token::Keyring::generate(None);
    for url in [
        "data:application/wasm;base64,AGFzbQ0AAQA=",
        "ftp://h/a.wasm",
        "oci+http://h/a:1",
        "oci://h/a",
    ] {
        let claims = webtask_token::Claims::new(url, webtask_tests::now());
        assert!(keyring.seal(&claims).is_err(), "{url}");
    }
    for prefix in ["data://", "ftp://h/", "oci+https://h/", "oci://h/a?b"] {
        let error = prefix
            .parse::<webtask_host::CodePrefix>()
            .expect_err(prefix);
        assert!(error.to_string().contains("oci://"), "{error}");
    }
}
