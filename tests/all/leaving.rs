//! Callers that leave: the invocation ends, with the calls that it made, whatever it was waiting for.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use webtask_tests::{Authority, SOON, Slow, TestHost, exchange, wait_for_line};

use super::{
    built::{examples, guests},
    calls::{loopback, trusting},
};

/// The caller leaves before the head, and in the middle of the body; its origin sees it each time.
async fn leaves_twice(host: &TestHost, origin: &Slow) {
    let token = host.token_with_grants(guests::RELAY, &[&format!("GET {}/*", origin.url)]);
    let request = |path: &str| {
        Request::get(format!("/run/?url={}{path}", origin.url))
            .header("host", "x")
            .header("webtask-token", &token)
            .body(Empty::<Bytes>::new())
            .expect("a request")
    };
    {
        let leaving = exchange(host.address, request("/head"));
        tokio::select! {
            answer = leaving => panic!("it was answered: {answer:?}"),
            () = origin.begun() => {}
        }
    }
    origin.left().await;

    let mut body = exchange(host.address, request("/body")).await.into_body();
    let piece = body.frame().await.expect("a piece").expect("it is whole");
    assert_eq!(piece.into_data().expect("bytes"), "a piece");
    origin.begun().await;
    drop(body);
    origin.left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_ends_the_calls_of_its_invocation() {
    let origin = Slow::start(None).await;
    leaves_twice(&loopback().await, &origin).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_resets_the_streams_of_its_invocation() {
    let authority = Authority::new();
    let origin = Slow::start(Some(authority.acceptor("127.0.0.1", &["h2"]))).await;
    leaves_twice(&trusting(&authority).await, &origin).await;
}

/// Sends a head and a part of its body, to a guest that reads nothing of it. The part fits into the socket's
/// buffer: what does not would keep the end of the stream on the caller's side.
async fn upload(host: &TestHost, token: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let head = format!(
        "POST /run{path} HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\ncontent-length: 10000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&[b'x'; 20_000]).await.expect("sent");
    stream
}

/// Nobody reads the socket then, and the end of its stream lies behind bytes that nobody takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_behind_an_unread_body_is_noticed() {
    let origin = Slow::start(None).await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.wall = SOON * 4)
        .start()
        .await;
    let token = host.token_with_grants(guests::RELAY, &[&format!("GET {}/*", origin.url)]);
    for path in ["/head", "/body"] {
        let mut stream = upload(&host, &token, &format!("/?url={}{path}", origin.url)).await;
        origin.begun().await;
        if path == "/body" {
            let mut answer = String::new();
            while !answer.contains("a piece") {
                let byte = stream.read_u8().await.expect("the answer begins");
                answer.push(char::from(byte));
            }
        }
        drop(stream);
        origin.left().await;
    }
    // Who stays is served, also if it takes longer than noticing would.
    let mut answered = upload(&host, &host.token(examples::HELLO), "").await;
    let mut answer = [0; 15];
    answered.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

/// The place is free at once: nothing of the run is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_a_spinning_guest_frees_its_place() {
    let host = TestHost::builder()
        .limits(|limits| {
            limits.invocations = 1;
            limits.wall = SOON * 4;
            limits.cpu = SOON * 4;
            limits.queue_time = SOON;
        })
        .start()
        .await;
    let spin = host.token(guests::SPIN);
    let hello = host.token(examples::HELLO);
    assert_eq!(host.get(&hello, "").await.status, 200);
    let request = Request::get("/run")
        .header("host", "x")
        .header("webtask-token", &spin)
        .body(Empty::<Bytes>::new());
    let leaving = tokio::spawn(exchange(host.address, request.expect("a request")));
    // It has the only place when another one has to wait.
    while tokio::time::timeout(Duration::from_millis(500), host.get(&hello, ""))
        .await
        .is_ok()
    {}
    leaving.abort();
    let reply = host.get(&hello, "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    wait_for_line("caller-left", "webtask::access").await;
}
