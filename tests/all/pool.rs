//! Which outbound calls share a connection, and for how long.

use bytes::Bytes;
use http::Response;
use rustls::HandshakeKind;
use webtask_tests::{Authority, Origin, TestHost, claims_for, get};
use webtask_token::Caveat;

use super::{
    built::guests,
    calls::{caller, calls, loopback, ok, refused, trusting},
};

/// Trap 4: calls of one token share a connection, in one invocation and over several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_token_use_one_connection() {
    let origin = Origin::start(ok).await;
    let host = loopback().await;
    let token = caller(&host, &origin.url("/*"));
    for _ in 0..2 {
        let said = calls(&host, &token, "n=3", &origin.url("/")).await;
        assert_eq!(said, ["200 15"; 3]);
    }
    assert_eq!(origin.connections(), [0; 6]);
}

/// Trap 4: another root is another holder, although everything else is the same; what was derived from
/// a token is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_tokens_of_different_roots_never_share_a_connection() {
    let authority = Authority::new();
    let secure = Origin::tls(authority.acceptor("127.0.0.1", &["h2"]), ok).await;
    let plain = Origin::start(ok).await;
    let host = trusting(&authority).await;
    for origin in [plain, secure] {
        let mut claims = claims_for(guests::CALLS);
        claims.out = vec![format!("* {}", origin.url("/*")).parse().expect("a grant")];
        // The same claims, sealed twice.
        let (first, second) = (host.seal(&claims), host.seal(&claims));
        let note = Some("derived".to_owned());
        let derived = webtask_token::attenuate(
            &first,
            &Caveat {
                note,
                ..Caveat::default()
            },
        );
        for token in [&first, &second, &derived.expect("a caveat"), &second] {
            let said = calls(&host, token, "n=2", &origin.url("/")).await;
            assert_eq!(said, ["200 15"; 2]);
        }
        assert_eq!(origin.connections(), [0, 0, 1, 1, 0, 0, 1, 1]);
    }
}

/// Trap 4: an open connection is no grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_a_kept_connection_does_not_outlive_the_grant() {
    let origin = Origin::start(ok).await;
    let host = loopback().await;
    let token = caller(&host, &origin.url("/*"));
    assert_eq!(
        calls(&host, &token, "n=1", &origin.url("/")).await,
        ["200 15"]
    );
    let out = Some(vec!["* https://elsewhere.test/*".parse().expect("a grant")]);
    let narrowed = webtask_token::attenuate(
        &token,
        &Caveat {
            out,
            ..Caveat::default()
        },
    );
    let narrowed = narrowed.expect("a caveat");
    refused(&host, &narrowed, &origin.url("/"), "no-grant").await;
    // Revoked, it is not even opened.
    let request = http::Request::post("/v1/revoke").header("webtask-token", &token);
    let request = request.body(http_body_util::Empty::<Bytes>::new());
    assert_eq!(host.send(request.expect("a request")).await.status, 200);
    assert_eq!(
        get(host.address, &token, "/run").await.code(),
        "token-revoked"
    );
    assert_eq!(origin.seen().len(), 1);
}

/// Trap 4: what is not read to its end is not used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_a_connection_with_half_an_answer_is_closed() {
    let origin = Origin::start(|_| Response::new(vec![0; 1 << 20].into())).await;
    let host = loopback().await;
    let token = caller(&host, &origin.url("/*"));
    let said = calls(&host, &token, "n=3&way=head", &origin.url("/")).await;
    assert_eq!(said, ["200 0"; 3]);
    assert_eq!(origin.connections(), [0, 1, 2]);
}

/// Trap 4: no TLS session is resumed, not even for the same token: each connection shows its certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_no_tls_session_is_resumed() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["http/1.1"]);
    let origin = Origin::tls(acceptor, |_| Response::new(vec![0; 1 << 20].into())).await;
    let host = trusting(&authority).await;
    let token = caller(&host, &origin.url("/*"));
    calls(&host, &token, "n=3&way=head", &origin.url("/")).await;
    calls(
        &host,
        &caller(&host, &origin.url("/*")),
        "n=1",
        &origin.url("/"),
    )
    .await;
    assert_eq!(origin.connections(), [0, 1, 2, 3]);
    for seen in origin.seen() {
        assert_eq!(seen.handshake, Some(HandshakeKind::Full));
    }
}

/// The limit holds for all tokens together; the one that was idle for longest makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connections_are_bounded() {
    let origin = Origin::start(ok).await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.pool = 2)
        .start()
        .await;
    let tokens = [(); 3].map(|()| caller(&host, &origin.url("/*")));
    for at in [0, 1, 2, 2, 1, 0] {
        let said = calls(&host, &tokens[at], "n=1", &origin.url("/")).await;
        assert_eq!(said, ["200 15"]);
    }
    // The third took the place of the first, which needs a new one.
    assert_eq!(origin.connections(), [0, 1, 2, 2, 1, 3]);
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.pool = 0)
        .start()
        .await;
    let token = caller(&host, &origin.url("/*"));
    calls(&host, &token, "n=2", &origin.url("/")).await;
    assert_eq!(origin.connections()[6..], [4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_keeps_no_more_connections_than_its_share() {
    let origins = [
        Origin::start(ok).await,
        Origin::start(ok).await,
        Origin::start(ok).await,
    ];
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.pool = 16)
        .start()
        .await;
    let grants = origins.each_ref().map(|to| format!("* {}", to.url("/*")));
    let grants = grants.each_ref().map(String::as_str);
    let token = host.token_with_grants(guests::CALLS, &grants);
    // An eighth are two: the third takes the place of the first.
    for at in [0, 1, 2, 2, 0] {
        let said = calls(&host, &token, "n=1", &origins[at].url("/")).await;
        assert_eq!(said, ["200 15"]);
    }
    assert_eq!(origins[2].connections(), [0, 0]);
    assert_eq!(origins[0].connections(), [0, 1]);
}
