//! Peers that keep the host waiting, in each phase of a connection.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use webtask_tests::{
    Authority, Http2, SOON, TestHost, examples,
    frames::{END_STREAM, Frames, PREFACE, head, kind},
    guests,
};

const SHORT: Duration = Duration::from_secs(2);

async fn impatient() -> TestHost {
    TestHost::builder()
        .limits(|limits| {
            limits.head = SHORT;
            limits.idle = SHORT;
            limits.stall = SHORT;
        })
        .start()
        .await
}

/// Sends these bytes and nothing more; what comes until the host ends the connection.
async fn after(host: &TestHost, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(SOON * 2, stream.read_to_end(&mut answer)).await;
    // A connection that is reset has ended, too.
    let _ = ended.expect("the host ends it");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_preface_and_silence_are_given_up() {
    let host = impatient().await;
    let begun = Instant::now();
    for length in [0, 1, 4, PREFACE.len() - 1] {
        assert_eq!(after(&host, &PREFACE[..length]).await, b"", "{length}");
        assert!(begun.elapsed() >= SHORT, "not refused at once");
    }
    // A preface alone is a connection without a stream.
    let said = after(&host, PREFACE).await;
    assert!(said.len() > 9 && said[3] == kind::SETTINGS, "{said:?}");
}

/// A connection without streams gets its goodbye, and one with a stream does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_http_2_connection_is_closed_gracefully() {
    let host = impatient().await;
    let caller = Http2::connect(host.address).await;
    // Busy for longer than an idle one is kept.
    let slow = host.token(guests::SLOWBODY);
    let reply = caller.post(&slow, "/run/?n=8&ms=500", "").await;
    assert!(reply.status == 200 && reply.whole, "{reply:?}");
    caller.closed().await;

    let mut peer = Frames::connect(host.address, &[]).await;
    assert!(peer.send(kind::SETTINGS, 1, 0, &[]).await);
    let goodbye = peer.next_of(kind::GOAWAY).await;
    assert_eq!(goodbye.payload[4..8], [0; 4], "NO_ERROR: {goodbye:?}");
    // Whoever does not leave is left.
    peer.until_its_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_2_head_that_does_not_end_is_given_up() {
    let host = impatient().await;
    let mut peer = Frames::connect(host.address, &[]).await;
    assert!(
        peer.send(kind::HEADERS, END_STREAM, 1, &head("GET", "/run", &[]))
            .await
    );
    // Part of a field. Many small pieces end a connection at once, these two do not.
    assert!(peer.send(kind::CONTINUATION, 0, 1, &[0, 1, b'x']).await);
    assert!(peer.send(kind::CONTINUATION, 0, 1, &[9]).await);
    let begun = Instant::now();
    let frames = peer.until_its_end().await;
    assert!(
        frames.iter().all(|frame| frame.kind != kind::HEADERS),
        "{frames:?}"
    );
    assert!(begun.elapsed() >= SHORT, "not refused at once");
}

/// A stream keeps a connection from being idle, and not from being asked whether anybody is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_ping_is_given_up() {
    let host = impatient().await;
    let token = host.token(guests::PARK);
    let mut peer = Frames::connect(host.address, &[]).await;
    assert!(peer.get(1, "/run", &[("webtask-token", &token)]).await);
    let frames = peer.until_its_end().await;
    assert!(
        frames.iter().any(|frame| frame.kind == kind::PING),
        "{frames:?}"
    );
    assert!(
        frames.iter().all(|frame| frame.kind != kind::HEADERS),
        "{frames:?}"
    );
}

/// Trap 22: the handshake of one client is no matter of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_22_silent_tls_clients_stop_nobody() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let host = TestHost::builder()
        .tls(&super::tls::certificate(&authority, dir.path(), "server"))
        .limits(|limits| limits.head = SHORT)
        .start()
        .await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(
            TcpStream::connect(host.address)
                .await
                .expect("the host listens"),
        );
    }
    let token = host.token(examples::HELLO);
    let stream = authority.connect(host.address, &["h2"]).await.expect("TLS");
    let reply = Http2::over(stream).await.post(&token, "/run", "").await;
    assert_eq!(reply.status, 200);
    for mut stream in silent {
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(SOON * 2, stream.read_to_end(&mut answer)).await;
        let _ = ended.expect("the host ends it");
        assert_eq!(answer, b"");
    }
}
