//! Which sockets answer what, and to whom.

use std::os::unix::fs::PermissionsExt as _;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UnixStream},
};
use webtask_host::{ListenError, Listener};
use webtask_tests::{
    Http2, SOON, TestHost, examples, get_path, get_through, guests, lines_of, wait_for_line,
};

/// Each is on its own listener, and never on the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_not_public_and_nothing_else_is_operations() {
    let host = TestHost::start().await;
    for path in ["/healthz", "/readyz"] {
        let reply = get_path(host.operations, path).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        assert!(reply.headers.get("webtask-source").is_none());
        assert_eq!(get_path(host.address, path).await.code(), "not-found");
        let over_http2 = Http2::connect(host.address).await;
        let request = Request::get(format!("http://x{path}"));
        let request = request.body(Full::<Bytes>::default()).expect("a request");
        assert_eq!(over_http2.send(request).await.code(), "not-found");
    }
    let token = host.token(examples::HELLO);
    for path in [
        "/run",
        "/",
        "/healthz/",
        "/v1/tokens",
        &format!("/t/{token}"),
    ] {
        let reply = webtask_tests::get(host.operations, &token, path).await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_served_beside_tcp() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("webtask.sock");
    let host = TestHost::builder().unix(&path).start().await;
    let mode = std::fs::metadata(&path)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let token = host.token(examples::HELLO);
    let connect = async || UnixStream::connect(&path).await.expect("it listens");
    let reply = get_through(connect().await, &token, "/run").await;
    assert_eq!(reply.status, 200);
    let http2 = Http2::over(connect().await).await;
    assert_eq!(http2.post(&token, "/run", "").await.status, 200);
    assert_eq!(host.get(&token, "").await.status, 200);
    host.stop().await;
    assert!(!path.exists(), "it is removed at the end");
}

/// What a killed process left is replaced; what somebody listens on, or is no socket, is not.
#[tokio::test]
async fn a_stale_socket_is_replaced_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("webtask.sock");
    let address = format!("unix:{}", path.display());
    // Dropped, the socket of std leaves its file.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists());
    let listener = Listener::bind(&address).await.expect("nobody listens");
    assert_eq!(listener.address().to_string(), address);
    let second = Listener::bind(&address).await;
    assert!(matches!(second, Err(ListenError::InUse(_))), "{second:?}");
    assert!(path.exists());
    // Another one has its place: not ours to remove.
    std::fs::remove_file(&path).expect("own file");
    std::fs::write(&path, "kept").expect("own file");
    drop(listener);
    let third = Listener::bind(&address).await;
    assert!(matches!(third, Err(ListenError::NoSocket(_))), "{third:?}");
    assert_eq!(std::fs::read(&path).expect("kept"), b"kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_address_are_bounded_if_asked() {
    let host = TestHost::builder()
        .limits(|limits| limits.connections_per_address = 2)
        .start()
        .await;
    let connect = async |from: &str| {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind(format!("{from}:0").parse().expect("an address"))
            .expect("loopback");
        socket
            .connect(host.address)
            .await
            .expect("the host listens")
    };
    let served = async |stream: &mut TcpStream| {
        let request = b"GET /run HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut first = [0];
        let read = async {
            stream.write_all(request).await?;
            stream.read(&mut first).await
        };
        // Closed, or reset: both are no answer.
        let read = tokio::time::timeout(SOON, read)
            .await
            .expect("an answer or the end");
        read.is_ok_and(|read| read == 1)
    };
    let mut first = connect("127.0.0.1").await;
    let mut second = connect("127.0.0.1").await;
    assert!(served(&mut first).await && served(&mut second).await);
    assert!(!served(&mut connect("127.0.0.1").await).await);
    assert!(served(&mut connect("127.0.0.2").await).await);
    drop(first);
    let freed = async { while !served(&mut connect("127.0.0.1").await).await {} };
    tokio::time::timeout(SOON, freed)
        .await
        .expect("it comes free");
}

/// Requests without a valid token write so many lines in a second, and a number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_write_few_lines_however_often_they_come() {
    let host = TestHost::start().await;
    let caller = Http2::connect(host.address).await;
    let began = std::time::Instant::now();
    let mut first = None;
    for _ in 0..1_000 {
        let reply = caller.post("wt1.nonsense", "/run", "").await;
        assert_eq!(reply.code(), "token-invalid");
        first.get_or_insert_with(|| reply.request_id().to_owned());
    }
    // With a valid one each has its record, also beside them.
    let reply = host.get(&host.token(guests::TRAP), "").await;
    wait_for_line(reply.request_id(), "webtask::access").await;
    wait_for_line("left_out=", "too often").await;
    let first = first.expect("a request");
    let process = first.split('-').next().expect("the host's part of an id");
    let lines = lines_of(process);
    let records = lines
        .iter()
        .filter(|line| line.contains("token-invalid"))
        .count() as u64;
    let seconds = began.elapsed().as_secs() + 2;
    assert!(
        (2..=seconds * 40).contains(&records),
        "{records} lines in {seconds} s"
    );
    assert!(records < 1_500, "some were left out");
}
