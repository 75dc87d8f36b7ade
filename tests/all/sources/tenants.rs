//! Tenants that ask for the same URL: none is served, or fails, because of what another may do.

use bytes::Bytes;
use http::Response;
use webtask_tests::{Origin, SOON, TestHost, now, wait_for_line};
use webtask_token::Claims;

use super::{HELLO, Shelf, answers, code, fails, hello, with};

fn of(tenant: &str, host: &TestHost, url: &str) -> String {
    let mut claims = Claims::new(url, now());
    claims.tenant = tenant.to_owned();
    host.seal(&claims)
}

/// What a URL served one tenant, by a redirect that it may follow, is not there for one that may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_tenant_was_served_is_no_way_around_anothers_prefixes() {
    let fields = [("cache-control", "max-age=3600")];
    let shelf = Shelf::start(move |seen| match seen.path.as_str() {
        "/acme/a.wasm" => with(302, Bytes::new(), &[("location", "/b.wasm"), fields[0]]),
        _ => code(hello(), &fields),
    })
    .await;
    let tenants = format!(
        "[tenants.acme]\nallow-code = ['{}']\n",
        shelf.origin.url("/acme/")
    );
    let host = TestHost::builder()
        .loopback()
        .code(&shelf.origin.url("/"))
        .tenants(&tenants)
        .start()
        .await;
    let url = shelf.origin.url("/acme/a.wasm");
    let (acme, other) = (of("acme", &host, &url), of("other", &host, &url));
    answers(&host, &other, HELLO).await;
    let reply = fails(&host, &acme, "component-fetch").await;
    wait_for_line(reply.request_id(), "allow-code of [tenants.acme]").await;
    // Nor does its failure take anything from the other one, which asks nobody.
    let asked = shelf.asked();
    answers(&host, &other, HELLO).await;
    assert_eq!(shelf.asked(), asked);
}

/// One tenant has all of its places for fetching: another one's request for the same URL has its own flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_without_places_does_not_fail_anothers_fetch() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let stuck = format!("http://{}/x", silent.local_addr().expect("bound"));
    let origin = Origin::start(|_| Response::new(hello())).await;
    let url = origin.url("/a.wasm");
    let host = TestHost::builder()
        .loopback()
        .code(&stuck)
        .code(&origin.url("/"))
        .limits(|limits| {
            limits.tenant_fetches = 1;
            limits.fetch = SOON * 4;
        })
        .start()
        .await;
    let (held, mine) = (of("acme", &host, &stuck), of("acme", &host, &url));
    let mut stalled = std::pin::pin!(host.get(&held, ""));
    let stream = tokio::select! {
        reply = &mut stalled => panic!("a silent origin answered: {reply:?}"),
        accepted = silent.accept() => accepted.expect("a connection").0,
    };
    let refused = async {
        fails(&host, &mine, "tenant-busy").await;
        answers(&host, &of("other", &host, &url), HELLO).await;
    };
    tokio::select! {
        reply = &mut stalled => panic!("a silent origin answered: {reply:?}"),
        () = refused => {}
    }
    // The refusal is not remembered.
    drop(stream);
    assert_eq!(stalled.await.code(), "component-fetch");
    answers(&host, &mine, HELLO).await;
}
