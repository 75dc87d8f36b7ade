//! Bodies that flow: both ways, piece by piece, and what ends when the caller leaves.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webtask_tests::{SOON, TestHost, exchange, lines_of, wait_for_line};

use super::built::{examples, guests};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_of_eight_megabytes_comes_back_whole() {
    let host = TestHost::start().await;
    let sent: Bytes = (0..8 << 20)
        .map(|n: u32| (n % 251) as u8)
        .collect::<Vec<u8>>()
        .into();
    let request = Request::post("/run")
        .header("webtask-token", host.token(guests::ECHO))
        .body(Full::new(sent.clone()));
    let reply = host.send(request.expect("a request")).await;
    assert!(
        reply.status == 200 && reply.whole,
        "{} whole={}",
        reply.status,
        reply.whole
    );
    assert!(
        reply.body == sent,
        "{} of {} bytes",
        reply.body.len(),
        sent.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_arrive_one_by_one() {
    let host = TestHost::start().await;
    let token = host.token(guests::SLOWBODY);
    let request = Request::get("/run/?n=4&ms=150")
        .header("host", "x")
        .header("webtask-token", token);
    let started = Instant::now();
    let mut body = exchange(
        host.address,
        request.body(Empty::<Bytes>::new()).expect("a request"),
    )
    .await
    .into_body();
    let mut arrived = Vec::new();
    while let Some(frame) = body.frame().await {
        frame.expect("a whole body");
        arrived.push(started.elapsed());
    }
    assert!(arrived.len() >= 4, "{arrived:?}");
    let spread = arrived[arrived.len() - 1] - arrived[0];
    assert!(
        spread >= Duration::from_millis(300),
        "held back and sent at once: {arrived:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_may_come_before_the_request_is_read() {
    let host = TestHost::start().await;
    let request = Request::post("/run")
        .header("webtask-token", host.token(guests::EARLY))
        .body(Full::new(Bytes::from(vec![b'x'; 4 << 20])));
    let reply = host.send(request.expect("a request")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The caller leaves: the invocation ends and its place is free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_ends_the_invocation() {
    let host = TestHost::builder()
        .limits(|limits| limits.invocations = 1)
        .start()
        .await;
    let (park, slow) = (host.token(guests::PARK), host.token(guests::SLOWBODY));
    for token in [&park, &slow] {
        let request = Request::get("/run/?n=1000&ms=50")
            .header("host", "x")
            .header("webtask-token", token);
        let leaving = exchange(
            host.address,
            request.body(Empty::<Bytes>::new()).expect("a request"),
        );
        // Long enough to begin, far shorter than the deadline.
        let _ = tokio::time::timeout(Duration::from_millis(300), async {
            let _body = leaving.await.into_body();
            std::future::pending::<()>().await;
        })
        .await;
        let left = Instant::now();
        loop {
            let reply = host.get(&host.token(examples::HELLO), "").await;
            if reply.status == 200 {
                break;
            }
            assert_eq!(reply.code(), "overloaded");
            assert!(left.elapsed() < SOON, "the place is still taken");
        }
    }
    wait_for_line("caller-left", "webtask::access").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_serves_one_request_after_another() {
    use hyper_util::rt::TokioIo;
    let host = TestHost::start().await;
    let token = host.token(guests::ECHO);
    let stream = tokio::net::TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("a connection");
    tokio::spawn(connection);
    for n in 0..20 {
        let text = format!("request {n}");
        let request = Request::post("/run")
            .header("host", "x")
            .header("webtask-token", &token)
            .body(Full::new(Bytes::from(text.clone())));
        sender.ready().await.expect("the connection is kept");
        let reply = sender
            .send_request(request.expect("a request"))
            .await
            .expect("an answer");
        let body = reply
            .into_body()
            .collect()
            .await
            .expect("a whole body")
            .to_bytes();
        assert_eq!(body, text.as_bytes());
    }
}

/// Cut by its limit, the upload is an error to the guest, and whatever the guest answers is no answer to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_beyond_its_limit_does_not_pass_for_a_whole_one() {
    let host = TestHost::builder()
        .limits(|limits| limits.request_bytes = 10_000)
        .start()
        .await;
    let send = async |bytes: usize| {
        let request = Request::post("/run").header("webtask-token", host.token(guests::UPLOAD));
        // Of a length that nobody said.
        let request = request.header("transfer-encoding", "chunked");
        let request = request.body(Full::new(Bytes::from(vec![b'x'; bytes])));
        host.send(request.expect("a request")).await
    };
    assert_eq!(send(10_000).await.text(), "upload whole 10000");
    let reply = send(10_001).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (413, "body-too-large")
    );
    wait_for_line(reply.request_id(), "upload broken").await;
    let lines = lines_of(reply.request_id()).concat();
    assert!(!lines.contains("upload whole"), "{lines}");
}

/// Cut by the caller: less than its length, a chunk and no end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_its_caller_breaks_off_does_not_pass_for_a_whole_one() {
    let host = TestHost::start().await;
    let token = host.token(guests::UPLOAD);
    let bytes = "x".repeat(4_321);
    for sent in [
        format!("content-length: 4322\r\n\r\n{bytes}"),
        format!("transfer-encoding: chunked\r\n\r\n10e1\r\n{bytes}\r\n"),
        format!("transfer-encoding: chunked\r\n\r\n10e2\r\n{bytes}"),
    ] {
        let head = "POST /run HTTP/1.1\r\nhost: x\r\nwebtask-token:";
        let mut stream = tokio::net::TcpStream::connect(host.address)
            .await
            .expect("the host listens");
        let sent = format!("{head} {token}\r\n{sent}");
        stream.write_all(sent.as_bytes()).await.expect("sent");
        stream.shutdown().await.expect("a socket");
        let mut answer = String::new();
        // A connection that is reset has no answer either.
        let _ = stream.read_to_string(&mut answer).await;
        assert!(!answer.contains("upload whole"), "{answer}");
    }
    // No run is left that could still say it.
    host.stop().await;
    assert_eq!(lines_of("upload whole 4321"), Vec::<String>::new());
}

/// Reads from `stream` until what came ends with `end`.
async fn until(stream: &mut tokio::net::TcpStream, end: &str) -> String {
    let mut came = String::new();
    while !came.ends_with(end) {
        let byte = stream.read_u8().await.expect("more is to come");
        came.push(char::from(byte));
    }
    came
}

async fn post(host: &TestHost, token: &str, fields: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let head =
        format!("POST /run HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n{fields}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

/// Each event is on its way before the next one is made: held back, this would wait for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_sent_events_arrive_one_by_one() {
    let host = TestHost::start().await;
    let fields = "content-type: text/event-stream\r\ntransfer-encoding: chunked";
    let mut stream = post(&host, &host.token(guests::ECHO), fields).await;
    for n in 0..20 {
        let event = format!("data: {n}\n\n");
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        stream.write_all(chunk.as_bytes()).await.expect("sent");
        let came = until(&mut stream, &format!("{event}\r\n")).await;
        assert_eq!(n == 0, came.contains("content-type: text/event-stream"));
    }
    stream.write_all(b"0\r\n\r\n").await.expect("sent");
    until(&mut stream, "0\r\n\r\n").await;
}

/// The beginning of the answer is out before a byte of the request's body is sent, or read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_begins_while_nothing_of_the_request_has_come() {
    let host = TestHost::start().await;
    let mut stream = post(&host, &host.token(guests::EARLY), "content-length: 5").await;
    until(&mut stream, "early \r\n").await;
    stream.write_all(b"12345").await.expect("sent");
    until(&mut stream, "5\r\n0\r\n\r\n").await;
}

/// What a guest does not read stays with its caller, but for what sockets hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_the_guest_does_not_read_stops() {
    const HELD: usize = 32 << 20;
    let host = TestHost::builder()
        .limits(|limits| {
            limits.request_bytes = 1 << 30;
            limits.wall = Duration::from_secs(2);
        })
        .start()
        .await;
    let fields = format!("content-length: {}", 1 << 30);
    let stream = post(&host, &host.token(guests::PARK), &fields).await;
    let (mut answer, mut upload) = stream.into_split();
    let piece = vec![b'x'; 64 << 10];
    let mut sent = 0;
    let uploading = async {
        loop {
            match upload.write(&piece).await {
                Ok(bytes) => sent += bytes,
                // The host has answered and goes.
                Err(_) => std::future::pending().await,
            }
        }
    };
    let mut head = [0; 12];
    tokio::select! {
        read = answer.read_exact(&mut head) => drop(read.expect("an answer")),
        () = uploading => {}
    }
    assert_eq!(&head, b"HTTP/1.1 504");
    assert!(sent < HELD, "{sent} bytes were taken");
}
