//! Mirrors: the operator's, and nobody's way around what is allowed.

use bytes::Bytes;
use webtask_tests::{TestHost, wait_for_line};

use super::{ECHO, HELLO, Shelf, answers, code, echo, fails, hello, pinned, unpinned, with};

/// The mirror is allowed by itself, under the URL that tokens name.
async fn host(origin: &Shelf, mirror: &Shelf, only: &str) -> TestHost {
    TestHost::builder()
        .loopback()
        .code(&origin.origin.url("/code/"))
        .mirror(&format!(
            "{}={}{only}",
            origin.origin.url("/code/"),
            mirror.origin.url("/m/")
        ))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_serves_in_the_place_of_the_origin() {
    let origin = Shelf::start(|_| code(echo(), &[])).await;
    let mirror = Shelf::start(|seen| match seen.path.as_str() {
        "/m/far/a.wasm?b" => with(307, Bytes::new(), &[("location", "/m/there.wasm")]),
        "/m/there.wasm" => code(hello(), &[]),
        _ => with(404, Bytes::new(), &[]),
    })
    .await;
    let host = host(&origin, &mirror, "").await;
    let url = origin.origin.url("/code/far/a.wasm?b");
    answers(&host, &unpinned(&host, &url), HELLO).await;
    assert_eq!(origin.asked(), 0);
    // What the mirror does not have, the origin has.
    answers(
        &host,
        &unpinned(&host, &origin.origin.url("/code/b.wasm")),
        ECHO,
    )
    .await;
    assert_eq!(origin.asked(), 1);
    drop(mirror);
    answers(&host, &pinned(&host, &url, &echo()), ECHO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_alone_never_asks_the_origin() {
    let origin = Shelf::start(|_| code(hello(), &[])).await;
    let mirror = Shelf::start(|_| with(404, Bytes::new(), &[])).await;
    let host = host(&origin, &mirror, " only").await;
    let token = unpinned(&host, &origin.origin.url("/code/a.wasm"));
    fails(&host, &token, "component-fetch").await;
    assert_eq!((origin.asked(), mirror.asked()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_with_other_bytes_never_runs() {
    let origin = Shelf::start(|_| code(hello(), &[])).await;
    let mirror = Shelf::start(|_| code(echo(), &[])).await;
    let both = host(&origin, &mirror, "").await;
    let url = origin.origin.url("/code/a.wasm");
    answers(&both, &pinned(&both, &url, &hello()), HELLO).await;
    wait_for_line(&mirror.origin.url("/m/a.wasm"), "a mirror of code failed").await;
    let alone = host(&origin, &mirror, " only").await;
    fails(&alone, &pinned(&alone, &url, &hello()), "component-digest").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_gets_around_what_is_allowed_by_a_mirror() {
    let origin = Shelf::start(|_| code(hello(), &[])).await;
    let mirror = Shelf::start(|seen| match seen.path.as_str() {
        "/m/out.wasm" => with(302, Bytes::new(), &[("location", "/other/a.wasm")]),
        _ => code(hello(), &[]),
    })
    .await;
    let host = host(&origin, &mirror, " only").await;
    for url in [
        mirror.origin.url("/m/a.wasm"),
        origin.origin.url("/other/a.wasm"),
        origin.origin.url("/code/%2e%2e/other/a.wasm"),
    ] {
        fails(&host, &unpinned(&host, &url), "denied").await;
    }
    assert_eq!((origin.asked(), mirror.asked()), (0, 0));
    // Nor does the mirror send elsewhere.
    let out = unpinned(&host, &origin.origin.url("/code/out.wasm"));
    fails(&host, &out, "component-fetch").await;
    assert_eq!(mirror.asked(), 1);
}
