//! The end: what runs finishes, whoever is connected is told, nobody new comes in.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use webtask_tests::{
    Authority, Http2, TestHost, examples,
    frames::{Frames, kind},
    get_path, get_through, guests, wait_for_line,
};

/// Over TLS, HTTP/2 and a Unix socket, all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_finishes_on_every_listener() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let path = dir.path().join("webtask.sock");
    let mut host = TestHost::builder()
        .tls(&super::tls::certificate(&authority, dir.path(), "server"))
        .unix(&path)
        .start()
        .await;
    let token = host.token(guests::SLOWBODY);
    let tls = authority.connect(host.address, &["h2"]).await.expect("TLS");
    let http2 = Http2::over(tls).await;
    let request = Request::get("http://x/run/?n=5&ms=300")
        .header("webtask-token", &token)
        .body(Full::<Bytes>::default());
    let running = http2
        .begin(request.expect("a request"))
        .await
        .expect("a head");
    let mut unix = UnixStream::connect(&path).await.expect("it listens");
    let request =
        format!("GET /run/?n=5&ms=300 HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n");
    unix.write_all(request.as_bytes()).await.expect("sent");
    let mut began = [0; 12];
    unix.read_exact(&mut began).await.expect("a head");
    assert_eq!(&began, b"HTTP/1.1 200");
    host.end();

    let body = running
        .into_body()
        .collect()
        .await
        .expect("a whole body")
        .to_bytes();
    assert!(body.ends_with(b"chunk 4\n"), "{body:?}");
    http2.closed().await;
    let mut rest = String::new();
    unix.read_to_string(&mut rest).await.expect("a good end");
    assert!(
        rest.contains("chunk 4\n") && rest.ends_with("0\r\n\r\n"),
        "{rest}"
    );
    let address = host.address;
    host.ended().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    assert!(!path.exists());
}

/// A kept connection without a request ends at once, and HTTP/2 gets its goodbye.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_without_requests_do_not_hold_up_the_end() {
    let mut host = TestHost::start().await;
    let mut kept = TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let request = b"GET /run HTTP/1.1\r\nhost: x\r\n\r\n";
    kept.write_all(request).await.expect("sent");
    kept.read_u8().await.expect("an answer");
    let mut silent = TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let mut peer = Frames::connect(host.address, &[]).await;
    peer.next_of(kind::SETTINGS).await;
    host.end();
    let goodbye = peer.next_of(kind::GOAWAY).await;
    assert_eq!(goodbye.payload[4..8], [0; 4], "NO_ERROR: {goodbye:?}");
    // Its ping, which says that all of the peer's requests have come.
    let ping = peer.next_of(kind::PING).await;
    assert!(peer.send(kind::PING, 1, 0, &ping.payload).await);
    peer.until_its_end().await;
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).await.expect("a good end");
    // One that never sent anything may be reset.
    let _ = silent.read_to_end(&mut rest).await;
    host.ended().await;
}

/// An answer that begins during the drain says that it is the last one. One that began a moment before does
/// not, and is the last one all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_1_is_told_with_the_last_answer() {
    for _ in 0..20 {
        if answer_of_the_drain()
            .await
            .contains("connection: close\r\n")
        {
            return;
        }
    }
    panic!("no answer said it");
}

/// An answer to a request that began before the end, whose body came after it.
async fn answer_of_the_drain() -> String {
    let mut host = TestHost::start().await;
    let token = host.token(guests::UPLOAD);
    let mut stream = TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let head = format!(
        "POST /run HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The guest runs, and waits for the body.
    let mut interim = [0; 25];
    stream
        .read_exact(&mut interim)
        .await
        .expect("it asks for the body");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    host.end();
    let address = host.address;
    // Nobody new: the socket is closed before anything else happens.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"ok").await.expect("sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("a good end");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("upload whole 2"),
        "{answer}"
    );
    host.ended().await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drain_has_an_end() {
    let host = TestHost::builder()
        .drain(Duration::from_millis(300))
        .start()
        .await;
    let token = host.token(guests::PARK);
    let mut stream = TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    let head = format!("GET /run HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // Until it runs, its token is asked for; then it waits in the guest.
    while host.get(&host.token(examples::HELLO), "").await.status != 200 {}
    host.stop().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"", "no answer was ready");
    wait_for_line("still under way", "drain=300ms").await;
}

/// With a time to linger, balancers see it before callers do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_fails_before_accepting_stops() {
    let mut host = TestHost::builder()
        .linger(Duration::from_secs(3))
        .start()
        .await;
    let token = host.token(examples::HELLO);
    assert_eq!(get_path(host.operations, "/readyz").await.status, 200);
    host.end();
    while get_path(host.operations, "/readyz").await.status == 200 {}
    let reply = get_path(host.operations, "/readyz").await;
    assert_eq!(
        (reply.status.as_u16(), reply.json()["code"].as_str()),
        (503, Some("draining"))
    );
    assert_eq!(get_path(host.operations, "/healthz").await.status, 200);
    let stream = TcpStream::connect(host.address)
        .await
        .expect("it still listens");
    assert_eq!(get_through(stream, &token, "/run").await.status, 200);
    host.ended().await;
}
