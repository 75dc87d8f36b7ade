//! Outbound exchanges that go wrong: each is bounded, and typed for the guest.

use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webtask_tests::{Authority, Origin, Raw, SOON, TestHost, Then, wait_for_line};

use super::{
    built::{P3, guests},
    calls::{loopback, said_by, trusting},
};

/// How a body ends that is larger than allowed: 0.2 has no code for failures in the middle of one.
const CUT: &str = match P3 {
    false => "502: HTTP response body size exceeds limit",
    true => "HTTP-response-body-size",
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_origin_sends_is_bounded() {
    let host = loopback().await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    for head in [long, many] {
        let origin = Raw::start(head, Then::Wait).await;
        let reply = said_by(&host, guests::CALLS, "n=1", &origin.url).await;
        assert_eq!(reply.text(), "HTTP-response-header-section-size");
    }
    // Over HTTP/2 there is no code for it: the stream is reset.
    let authority = Authority::new();
    let origin = Origin::tls(authority.acceptor("127.0.0.1", &["h2"]), |_| {
        let mut response = Response::default();
        for n in 0..30 {
            let value = "a".repeat(10_000).parse().expect("a value");
            let name = http::HeaderName::try_from(format!("x-{n}"));
            response.headers_mut().insert(name.expect("a name"), value);
        }
        response
    });
    let origin = origin.await;
    let trusting = trusting(&authority).await;
    let reply = said_by(&trusting, guests::CALLS, "n=1", &origin.url("/")).await;
    assert_eq!(reply.text(), "connection-terminated");

    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.outbound_bytes = 1 << 20)
        .start()
        .await;
    let origin = Origin::start(|seen| Response::new(vec![0; seen.path.len() << 17].into())).await;
    for (path, said) in [("/234567", "200 917504"), ("/23456789", CUT)] {
        let reply = said_by(&host, guests::CALLS, "n=1", &origin.url(path)).await;
        assert_eq!(reply.text(), said);
    }
}

/// 1xx is no answer: what informs is left out, what would change the protocol is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informational_responses_are_not_passed() {
    let host = loopback().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let origin = Raw::start(hints, Then::Wait).await;
    let reply = said_by(&host, guests::OUTBOUND, "method=GET", &origin.url).await;
    let said = reply.json();
    assert_eq!(
        (&said["status"], &said["body"]),
        (&200.into(), &"ok".into()),
        "{said}"
    );
    assert!(!said["headers"].to_string().contains("link"), "{said}");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let origin = Raw::start(switch, Then::Wait).await;
    let reply = said_by(&host, guests::CALLS, "n=1", &origin.url).await;
    assert_eq!(reply.text(), "HTTP-protocol-error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_keeps_the_guest_waiting_is_given_up() {
    let host = loopback().await;
    for (head, how, said) in [
        ("", "first=200", "ErrorCode::ConnectionReadTimeout"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegin",
            "between=200",
            match P3 {
                false => "connection read timeout",
                true => "ErrorCode::ConnectionReadTimeout",
            },
        ),
    ] {
        let origin = Raw::start(head, Then::Wait).await;
        let reply = said_by(&host, guests::HASTY, how, &origin.url).await;
        assert_eq!(reply.text(), said);
        assert!(reply.took < SOON, "{:?}", reply.took);
    }
}

/// Trap 13, outbound: however many calls it takes, up or down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_all_calls_together_are_bounded() {
    let origin = Origin::start(|seen| Response::new(vec![0; 100_000 * seen.path.len()].into()));
    let origin = origin.await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.outbound_total = 1_000_000)
        .start()
        .await;
    let down = said_by(&host, guests::CALLS, "n=20", &origin.url("/23")).await;
    let lines: Vec<_> = down.text().lines().collect();
    assert_eq!(lines[..4], ["200 300000", "200 300000", "200 300000", CUT]);
    assert!(lines[4..].iter().all(|line| *line == CUT), "{lines:?}");
    let record = wait_for_line(down.request_id(), "webtask::access").await;
    assert!(
        record.contains(" calls=20 ") && record.contains(" out_sent=0 "),
        "{record}"
    );
    wait_for_line(down.request_id(), "limit outbound-total").await;

    let before = origin.seen().len();
    let up = said_by(&host, guests::CALLS, "n=20&up=300000", &origin.url("/")).await;
    let lines: Vec<_> = up.text().lines().collect();
    assert_eq!(lines[..2], ["200 100000", "200 100000"]);
    assert!(
        lines[3..].iter().all(|line| !line.starts_with("200")),
        "{lines:?}"
    );
    let whole = origin.seen()[before..]
        .iter()
        .filter(|seen| seen.body.len() == 300_000)
        .count();
    assert!(whole <= 3, "{whole}");
    let small = said_by(&host, guests::CALLS, "n=2&up=1000", &origin.url("/")).await;
    let record = wait_for_line(small.request_id(), "webtask::access").await;
    let counted = " calls=2 out_received=200000 out_sent=2000 ";
    assert!(record.contains(counted), "{record}");
}

/// An origin that closes its connections after each answer, and says nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_origin_closed_is_replaced() {
    let host = loopback().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let origin = Raw::serve(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.expect("an answer is taken");
            stream.shutdown().await.expect("a socket");
            // The host has noticed when it closes its own side.
            let _ = stream.read(&mut head).await;
            let _ = tell.send(());
        }
    })
    .await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {}", origin.url)]);
    for _ in 0..10 {
        let reply = host.get(&token, &format!("/?n=1&url={}", origin.url)).await;
        assert_eq!(reply.text(), "200 2");
        told.recv().await.expect("the connection ends");
    }
}
