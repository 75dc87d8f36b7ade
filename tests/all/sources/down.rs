//! Origins that fail: what runs on, and how often they are asked.

use bytes::Bytes;
use webtask_tests::wait_for_line;

use super::{
    ECHO, HELLO, Shelf, answers, becomes, code, echo, fails, hello, pinned, unpinned, with,
};

const STALE: (&str, &str) = ("cache-control", "max-age=0");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_down_does_not_stop_what_is_cached() {
    let shelf = Shelf::start(|_| code(hello(), &[STALE])).await;
    let host = shelf.host().await;
    let url = shelf.origin.url("/down.wasm");
    let (token, other) = (unpinned(&host, &url), pinned(&host, &url, &hello()));
    answers(&host, &token, HELLO).await;
    shelf.put(|_| with(503, Bytes::new(), &[("retry-after", "30")]));
    for _ in 0..5 {
        answers(&host, &token, HELLO).await;
    }
    assert_eq!(shelf.asked(), 2, "it asked to be left alone");
    wait_for_line(&url, "what was fetched before runs on").await;
    drop(shelf);
    answers(&host, &token, HELLO).await;
    answers(&host, &other, HELLO).await;
}

/// An origin that is gone altogether, and one that comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_comes_back_is_asked_again() {
    let shelf = Shelf::start(|_| code(hello(), &[STALE])).await;
    let host = shelf.host().await;
    let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
    answers(&host, &token, HELLO).await;
    shelf.put(|_| with(500, Bytes::new(), &[]));
    answers(&host, &token, HELLO).await;
    shelf.put(|_| code(echo(), &[STALE]));
    becomes(&host, &token, ECHO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_code_does_not_serve_where_its_origin_forbids_it() {
    for said in [
        "max-age=0, must-revalidate",
        "no-cache",
        "max-age=0, stale-if-error=0",
        "s-maxage=0",
    ] {
        let shelf = Shelf::start(move |_| code(hello(), &[("cache-control", said)])).await;
        let host = shelf.host().await;
        let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
        answers(&host, &token, HELLO).await;
        shelf.put(|_| with(500, Bytes::new(), &[]));
        fails(&host, &token, "component-fetch").await;
    }
}

/// What an origin says of the code itself is no failure of the origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_is_gone_does_not_run_on() {
    for (status, body, code_of_error) in [
        (404, "", "component-fetch"),
        (410, "", "component-fetch"),
        (403, "", "component-fetch"),
        (200, "no component", "component-invalid"),
    ] {
        let shelf = Shelf::start(|_| code(hello(), &[STALE])).await;
        let host = shelf.host().await;
        let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
        answers(&host, &token, HELLO).await;
        shelf.put(move |_| with(status, body.into(), &[]));
        fails(&host, &token, code_of_error).await;
        // Nor when the origin is down after that.
        shelf.put(|_| with(500, Bytes::new(), &[]));
        let reply = host.get(&token, "").await;
        assert_eq!(reply.status, 502, "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_does_not_hammer_an_origin_that_fails() {
    let shelf = Shelf::start(|_| with(503, Bytes::new(), &[("retry-after", "30")])).await;
    let host = shelf.host().await;
    let url = shelf.origin.url("/a.wasm");
    for token in [unpinned(&host, &url), pinned(&host, &url, &hello())] {
        let before = shelf.asked();
        for _ in 0..20 {
            fails(&host, &token, "component-fetch").await;
        }
        assert_eq!(shelf.asked(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_forgotten_soon() {
    let shelf = Shelf::start(|_| with(404, Bytes::new(), &[("retry-after", "3600")])).await;
    let host = shelf.host().await;
    let token = pinned(&host, &shelf.origin.url("/a.wasm"), &hello());
    fails(&host, &token, "component-fetch").await;
    shelf.put(|_| code(hello(), &[]));
    becomes(&host, &token, HELLO).await;
}

/// A wrong digest with somebody's URL fails by itself, and so does a URL that fails with somebody's digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_anothers_url_fail() {
    let shelf = Shelf::start(|seen| match seen.path.as_str() {
        "/gone.wasm" => with(503, Bytes::new(), &[("retry-after", "30")]),
        _ => code(hello(), &[]),
    })
    .await;
    let host = shelf.host().await;
    let url = shelf.origin.url("/a.wasm");
    fails(&host, &pinned(&host, &url, b"another"), "component-digest").await;
    fails(
        &host,
        &pinned(&host, &shelf.origin.url("/gone.wasm"), &hello()),
        "component-fetch",
    )
    .await;
    answers(&host, &pinned(&host, &url, &hello()), HELLO).await;
    answers(&host, &unpinned(&host, &url), HELLO).await;
    fails(&host, &pinned(&host, &url, b"another"), "component-digest").await;
}
