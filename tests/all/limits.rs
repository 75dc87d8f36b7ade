//! Every limit that a guest or caller can hit has a guest or caller that hits it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use webtask_tests::{SOON, TestHost, claims_for, lines_of, names, wait_for_line};

use super::built::{examples, guests};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_time_is_measured_and_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.cpu = Duration::from_millis(200))
        .start()
        .await;
    host.meets(&host.token(guests::SPIN), "", "guest-cpu", "cpu")
        .await;
    // Waiting is not work.
    let reply = host
        .get(&host.token(guests::SLOWBODY), "/?n=4&ms=100")
        .await;
    assert!(reply.status == 200 && reply.whole, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded_by_the_host_and_lowered_by_the_token() {
    let host = TestHost::builder()
        .limits(|limits| limits.memory = 32 << 20)
        .start()
        .await;
    assert_eq!(
        host.get(&host.token(guests::MEMORY), "/?mb=8").await.status,
        200
    );
    host.meets(
        &host.token(guests::MEMORY),
        "/?mb=64",
        "guest-memory",
        "memory",
    )
    .await;
    let mut claims = claims_for(guests::MEMORY);
    claims.lim.memory = Some(4 << 20);
    let reply = host.get(&host.seal(&claims), "/?mb=8").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (500, "guest-memory")
    );
    // A token never raises a limit.
    claims.lim.memory = Some(1 << 30);
    let reply = host.get(&host.seal(&claims), "/?mb=64").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (500, "guest-memory")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lowers_the_deadline() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::PARK);
    claims.lim.wall_ms = Some(200);
    let reply = host
        .meets(&host.seal(&claims), "", "guest-deadline", "wall")
        .await;
    assert!(reply.took < SOON, "{:?}", reply.took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_body_is_bounded_declared_or_not() {
    let host = TestHost::builder()
        .limits(|limits| limits.request_bytes = 100_000)
        .start()
        .await;
    let token = host.token(guests::ECHO);
    let declared = Request::post("/run")
        .header("webtask-token", &token)
        .body(Full::new(Bytes::from(vec![b'x'; 100_001])));
    let reply = host.send(declared.expect("a request")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (413, "body-too-large")
    );
    assert_eq!(reply.json()["limit"], "request-bytes");
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert_eq!(names(&record), ["request-bytes"], "{record}");
    let fits = Request::post("/run")
        .header("webtask-token", &token)
        .body(Full::new(Bytes::from(vec![b'x'; 100_000])));
    let reply = host.send(fits.expect("a request")).await;
    assert!(
        reply.status == 200 && reply.whole && reply.body.len() == 100_000,
        "{}",
        reply.body.len()
    );
    // Chunked: nobody said how long it is.
    let chunks =
        (0..20).map(|_| Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; 10_000]))));
    let chunked = Request::post("/run")
        .header("webtask-token", &token)
        .body(StreamBody::new(stream::Iter(chunks)));
    let reply = host.send(chunked.expect("a request")).await;
    assert!(
        reply.status == 413 || !reply.whole,
        "{} whole={}",
        reply.status,
        reply.whole
    );
}

/// A stream of an iterator's items, which is all that a test needs of a stream library.
mod stream {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use futures_core::Stream;

    pub(super) struct Iter<I>(pub(super) I);

    impl<I: Iterator + Unpin> Stream for Iter<I> {
        type Item = I::Item;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
            Poll::Ready(self.0.next())
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_body_is_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.response_bytes = 1 << 20)
        .start()
        .await;
    let token = host.token(guests::BIGRESPONSE);
    let fits = host.get(&token, "/?bytes=1000000").await;
    assert!(
        fits.whole && fits.body.len() == 1_000_000,
        "{} whole={}",
        fits.body.len(),
        fits.whole
    );
    let cut = host.get(&token, "/?bytes=10000000").await;
    assert!(
        !cut.whole && cut.body.len() <= 1 << 20,
        "{} whole={}",
        cut.body.len(),
        cut.whole
    );
    let record = wait_for_line(cut.request_id(), "webtask::access").await;
    assert!(record.contains("guest-response-too-large"), "{record}");
    assert_eq!(names(&record), ["response-bytes"], "{record}");
    host.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_cut_once_and_says_so() {
    let host = TestHost::builder()
        .limits(|limits| limits.log_lines = 2)
        .start()
        .await;
    let reply = host
        .refuses(&host.token(guests::LOGGER), "", "log-lines")
        .await;
    let of_guest: Vec<_> = lines_of(reply.request_id())
        .into_iter()
        .filter(|line| line.contains("webtask::guest"))
        .collect();
    assert_eq!(of_guest.len(), 3, "{of_guest:#?}");
    assert!(of_guest[2].contains("log cut"), "{of_guest:#?}");
    let host = TestHost::builder()
        .limits(|limits| limits.log_bytes = 10)
        .start()
        .await;
    let reply = host
        .refuses(&host.token(guests::LOGGER), "", "log-bytes")
        .await;
    assert!(
        lines_of(reply.request_id())
            .iter()
            .any(|line| line.contains("log cut"))
    );
}

/// A guest is refused before it takes more of the pool than its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_with_too_many_memories_is_refused_when_it_is_loaded() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("greedy.wasm");
    let instances = "(core instance (instantiate $m)) ".repeat(28);
    let text = format!("(component (core module $m (memory 0)) {instances})");
    std::fs::write(&path, wat::parse_str(text).expect("valid text")).expect("a file");
    let host = TestHost::builder()
        .code(dir.path().to_str().expect("text"))
        .start()
        .await;
    let claims =
        webtask_token::Claims::new(format!("file://{}", path.display()), webtask_tests::now());
    let reply = host.get(&host.seal(&claims), "").await;
    assert_eq!(reply.code(), "component-invalid");
    wait_for_line(reply.request_id(), "memories").await;
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert_eq!(names(&record), ["memories"], "{record}");
}

/// Who reads nothing holds a connection, and no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_22_slow_readers_hold_no_place() {
    use tokio::io::AsyncWriteExt as _;
    let host = TestHost::builder()
        .limits(|limits| {
            limits.invocations = 2;
            limits.wall = Duration::from_millis(500);
        })
        .start()
        .await;
    let token = host.token(guests::BIGRESPONSE);
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut stream = tokio::net::TcpStream::connect(host.address)
            .await
            .expect("the host listens");
        let request = format!(
            "GET /run/?bytes=60000000 HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        silent.push(stream);
    }
    let started = std::time::Instant::now();
    loop {
        let reply = host.get(&host.token(examples::HELLO), "").await;
        if reply.status == 200 {
            break;
        }
        assert_eq!(reply.code(), "overloaded");
        assert!(started.elapsed() < SOON, "slow readers hold the places");
    }
    drop(silent);
}
