//! Outbound calls through the guests that make them, which several files of tests share.

use bytes::Bytes;
use http::Response;
use webtask_tests::{Authority, Reply, Seen, TestHost, wait_for_line};

use super::built::guests;

pub(super) async fn loopback() -> TestHost {
    TestHost::builder().loopback().start().await
}

/// A host that opens loopback and trusts this authority.
pub(super) async fn trusting(authority: &Authority) -> TestHost {
    TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await
}

pub(super) fn ok(_: &Seen) -> Response<Bytes> {
    Response::new(Bytes::from_static(b"from the origin"))
}

/// A token for the guest `calls` that may send anything to `url`.
pub(super) fn caller(host: &TestHost, url: &str) -> String {
    host.token_with_grants(guests::CALLS, &[&format!("* {url}")])
}

/// What the guest `calls` says, a line for each call.
pub(super) async fn calls(host: &TestHost, token: &str, how: &str, url: &str) -> Vec<String> {
    let reply = host.get(token, &format!("/?{how}&url={url}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().lines().map(str::to_owned).collect()
}

/// A call that must fail, and the reason that the log gives.
pub(super) async fn refused(host: &TestHost, token: &str, url: &str, reason: &str) -> Reply {
    let reply = host.get(token, &format!("/?url={url}")).await;
    assert!(!reply.text().starts_with("200"), "{reply:?}");
    wait_for_line(reply.request_id(), &format!("reason={reason}")).await;
    reply
}

/// What the guest `wasm` says, after a call that its token grants.
pub(super) async fn said_by(host: &TestHost, wasm: &str, how: &str, url: &str) -> Reply {
    let token = host.token_with_grants(wasm, &[&format!("* {url}")]);
    let reply = host.get(&token, &format!("/?{how}&url={url}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}
