//! What a host does when what it depends on fails: origins of code, name servers, the clock.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use webtask_host::{Revocation, Revocations};
use webtask_tests::{Dns, Raw, SOON, TestHost, Then, claims_for, examples, now, wait_for_line};
use webtask_token::{Claims, Keyring};

fn hello() -> Vec<u8> {
    std::fs::read(examples::HELLO).expect("hello is built")
}

/// A host that takes code from `url`, and a token for the code that is there, pinned.
async fn fetching(url: &str, fetch: Duration) -> (TestHost, String) {
    let host = TestHost::builder()
        .loopback()
        .code(url)
        .limits(|limits| limits.fetch = fetch)
        .start()
        .await;
    let mut claims = Claims::new(format!("{url}hello.wasm"), now());
    claims.sha256 = Some(Sha256::digest(hello()).into());
    let token = host.seal(&claims);
    (host, token)
}

/// Code from this origin ends so, in time, and code from elsewhere is served by the same host.
async fn ends(origin: &Raw, fetch: Duration, what: &str, code: &str) {
    let (host, token) = fetching(&origin.url, fetch).await;
    let (reply, other) = tokio::join!(host.get(&token, "/"), async {
        host.get(&host.token(examples::HELLO), "/").await.status
    });
    assert_eq!(reply.code(), code, "{what}: {reply:?}");
    assert!(reply.took < SOON, "{what}: {reply:?}");
    assert_eq!(other, 200, "{what}");
}

fn head(fields: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_of_code_that_lies_about_lengths_gives_no_code() {
    let (code, length) = (hello(), hello().len());
    let says = |length: usize| head(&format!("content-length: {length}"));
    let chunked = head("transfer-encoding: chunked");
    for (what, answer, ends_as) in [
        (
            "more than it has",
            [says(length + 1), code.clone()].concat(),
            "component-fetch",
        ),
        (
            "less than it has",
            [says(length - 1), code.clone()].concat(),
            "component-digest",
        ),
        (
            "two lengths",
            [head("content-length: 1\r\ncontent-length: 2"), code.clone()].concat(),
            "component-fetch",
        ),
        (
            "no number",
            [head("content-length: many"), code.clone()].concat(),
            "component-fetch",
        ),
        (
            "chunks that are none",
            [chunked.clone(), b"zz\r\n".to_vec(), code.clone()].concat(),
            "component-fetch",
        ),
        (
            "a chunk without an end",
            [
                chunked.clone(),
                format!("{length:x}\r\n").into_bytes(),
                code.clone(),
            ]
            .concat(),
            "component-fetch",
        ),
        (
            "a chunk larger than numbers are",
            [chunked, b"fffffffffffffffff\r\n".to_vec(), code.clone()].concat(),
            "component-fetch",
        ),
        ("no HTTP", code.clone(), "component-fetch"),
        ("nothing", Vec::new(), "component-fetch"),
    ] {
        let origin = Raw::start(answer, Then::Close).await;
        self::ends(&origin, SOON, what, ends_as).await;
    }
}

/// Reads the head of a request.
async fn asked(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_of_code_without_end_is_given_up() {
    let headers = Raw::serve(|mut stream| async move {
        asked(&mut stream).await;
        let mut more = b"HTTP/1.1 200 OK\r\n".to_vec();
        while stream.write_all(&more).await.is_ok() {
            more = b"x-more: and more\r\n".repeat(64);
        }
    });
    ends(&headers.await, SOON, "headers", "component-fetch").await;
    let body = Raw::serve(|mut stream| async move {
        asked(&mut stream).await;
        let mut more = head("transfer-encoding: chunked");
        while stream.write_all(&more).await.is_ok() {
            more = [b"10000\r\n".to_vec(), vec![0; 0x10000], b"\r\n".to_vec()].concat();
        }
    });
    ends(&body.await, SOON, "a body", "component-too-large").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_of_code_that_is_slow_is_given_up_after_its_time() {
    let limit = Duration::from_millis(300);
    let silent = Raw::start(Bytes::new(), Then::Wait).await;
    ends(&silent, limit, "silent", "component-timeout").await;
    let half = [
        head(&format!("content-length: {}", hello().len())),
        vec![0; 100],
    ]
    .concat();
    let half = Raw::start(half, Then::Wait).await;
    // A pause of half the time is enough to give up.
    ends(&half, limit, "half", "component-fetch").await;
    // A byte now and then is no progress: the time is for the whole.
    let drips = Raw::serve(|mut stream| async move {
        asked(&mut stream).await;
        let mut more = head("content-length: 100000");
        while stream.write_all(&more).await.is_ok() {
            more = vec![0];
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    ends(&drips.await, limit, "drips", "component-timeout").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_name_server_what_is_compiled_goes_on() {
    let silent = Dns::start(|_, _| None).await;
    let host = TestHost::builder()
        .dns(&silent)
        .code("http://code.test/")
        .limits(|limits| limits.fetch = Duration::from_millis(500))
        .start()
        .await;
    let token = host.seal(&Claims::new("http://code.test/hello.wasm", now()));
    let here = host.token(examples::HELLO);
    assert_eq!(host.get(&here, "/").await.status, 200);
    let (reply, other) = tokio::join!(host.get(&token, "/"), host.get(&here, "/"));
    assert_eq!(reply.code(), "component-timeout", "{reply:?}");
    assert_eq!(other.status, 200);
    // The author is told which limit and which URL.
    wait_for_line(
        reply.request_id(),
        "http://code.test/hello.wasm took longer than",
    )
    .await;
    assert!(!silent.asked().is_empty());
}

/// What is revoked is so by its link, not by the time: a clock that jumps ahead and is set back brings nothing back.
/// Nor does it lock anybody out: `iat` is not compared with the clock.
#[test]
fn a_clock_that_is_set_back_revives_nothing_that_was_revoked() {
    let (today, day) = (now(), 86_400);
    let keyring = Keyring::generate(None);
    let mut claims = claims_for(examples::HELLO);
    claims.exp = today + day;
    let token = keyring.seal(&claims).expect("valid claims");
    let opened = keyring.open(&token, today).expect("valid today");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("revocations");
    let revocations = Revocations::open(&file).expect("a store");
    let entry = |id| Revocation {
        tenant: "default".into(),
        id,
        root: id,
        until: claims.exp,
    };
    revocations.revoke(&entry(opened.id), today).expect("room");
    // A year ahead, where the entry is of no use any more, and back.
    revocations
        .revoke(&entry([7; 16].into()), today + 365 * day)
        .expect("room");
    drop(revocations);
    let again = Revocations::open(&file).expect("a store");
    assert!(again.is_revoked(&opened.links, "default", claims.iat));
    // The clock of a machine that is a day behind the one that sealed it.
    assert!(keyring.open(&token, today - day).is_ok());
    assert!(keyring.open(&token, claims.exp).is_err());
    assert!(
        keyring.open(&token, claims.exp - 1).is_ok(),
        "set back, it is in time again"
    );
}
