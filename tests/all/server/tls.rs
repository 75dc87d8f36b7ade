//! TLS on the listener.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt as _;
use webtask_host::Tls;
use webtask_tests::{Authority, Http2, TestHost, examples, get_through, guests, p3};

/// A certificate for loopback in files of `dir`.
pub(super) fn certificate(authority: &Authority, dir: &Path, stem: &str) -> Arc<Tls> {
    let [certificate, key] = authority.issue("127.0.0.1", dir, stem);
    Arc::new(Tls::load(certificate, key).expect("a pair"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_protocols_are_agreed_on_over_tls_and_guests_see_https() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let tls = certificate(&authority, dir.path(), "server");
    let host = TestHost::builder().tls(&tls).start().await;
    for guest in [guests::REFLECT, p3::guests::REFLECT] {
        let token = host.token(guest);
        let stream = authority
            .connect(host.address, &["h2", "http/1.1"])
            .await
            .expect("TLS");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let request = Request::get("http://x/run/a").header("webtask-token", &token);
        let request = request.body(Full::<Bytes>::default()).expect("a request");
        let reply = Http2::over(stream).await.send(request).await;
        assert_eq!(reply.json()["uri"], "https://x/a", "{reply:?}");

        for protocols in [&["http/1.1"][..], &[]] {
            let stream = authority
                .connect(host.address, protocols)
                .await
                .expect("TLS");
            let reply = get_through(stream, &token, "/run/a").await;
            assert_eq!(reply.json()["uri"], "https://x/a", "{reply:?}");
        }
    }
    // Neither another protocol nor clear text.
    assert!(authority.connect(host.address, &["smtp"]).await.is_err());
    assert!(
        Authority::new()
            .connect(host.address, &["h2"])
            .await
            .is_err()
    );
    let mut plain = tokio::net::TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /run HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

/// Connections go on with the certificate that they began with; a broken or mismatched pair changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_and_no_connection_dropped() {
    let (old, new) = (Authority::new(), Authority::new());
    let dir = tempfile::tempdir().expect("a directory");
    let tls = certificate(&old, dir.path(), "server");
    let host = TestHost::builder().tls(&tls).start().await;
    let token = host.token(examples::HELLO);
    let stream = old.connect(host.address, &["http/1.1"]).await.expect("TLS");
    let (mut kept, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .expect("a connection");
    tokio::spawn(connection);
    let mut call = async || {
        kept.ready().await.expect("the connection is kept");
        let request = Request::get("/run")
            .header("host", "x")
            .header("webtask-token", &token);
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let response = kept.send_request(request).await.expect("an answer");
        let body = http_body_util::BodyExt::collect(response.into_body()).await;
        assert!(body.expect("a whole body").to_bytes().starts_with(b"Hello"));
    };
    call().await;

    let good = std::fs::read(dir.path().join("server.key")).expect("a key");
    new.issue("127.0.0.1", dir.path(), "other");
    for (file, text) in [
        // The certificate of one with the key of another, as between two renames.
        (
            "server.pem",
            std::fs::read(dir.path().join("other.pem")).expect("a certificate"),
        ),
        ("server.pem", b"nonsense".to_vec()),
        ("server.key", Vec::new()),
    ] {
        std::fs::write(dir.path().join(file), text).expect("own file");
        let error = tls.reload().expect_err("no pair").to_string();
        assert!(!error.contains("PRIVATE"), "{error}");
        old.connect(host.address, &[])
            .await
            .expect("the old one is in force");
    }
    assert_ne!(good, b"");

    new.issue("127.0.0.1", dir.path(), "server");
    tls.reload().expect("a pair");
    assert!(old.connect(host.address, &[]).await.is_err());
    let stream = new
        .connect(host.address, &["h2"])
        .await
        .expect("the new one");
    assert_eq!(
        Http2::over(stream)
            .await
            .post(&token, "/run", "")
            .await
            .status,
        200
    );
    call().await;
}

#[test]
fn a_key_is_in_no_debug_output() {
    let (authority, dir) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let shown = format!("{:?}", certificate(&authority, dir.path(), "server"));
    assert!(shown.contains("server.key") && shown.len() < 500, "{shown}");
}
