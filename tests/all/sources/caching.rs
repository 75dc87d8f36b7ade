//! RFC 9111 over a real origin.

use std::time::Instant;

use bytes::Bytes;
use webtask_tests::{SOON, lines_of};

use super::{ECHO, HELLO, Shelf, answers, becomes, code, echo, hello, pinned, unpinned, with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_changes_is_seen_when_its_origin_says_so() {
    let shelf = Shelf::start(|_| code(hello(), &[("cache-control", "max-age=1")])).await;
    let host = shelf.host().await;
    let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
    answers(&host, &token, HELLO).await;
    shelf.put(|_| code(echo(), &[("cache-control", "max-age=3600")]));
    becomes(&host, &token, ECHO).await;
    let asked = shelf.asked();
    shelf.put(|_| code(hello(), &[]));
    for _ in 0..5 {
        answers(&host, &token, ECHO).await;
    }
    assert_eq!(shelf.asked(), asked, "it is fresh for an hour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pinned_code_is_never_asked_for_again() {
    let shelf = Shelf::start(|_| code(hello(), &[("cache-control", "no-store")])).await;
    let host = shelf.host().await;
    let token = pinned(&host, &shelf.origin.url("/a.wasm"), &hello());
    for _ in 0..5 {
        answers(&host, &token, HELLO).await;
    }
    assert_eq!(shelf.asked(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_saves_the_fetch() {
    let shelf = Shelf::start(|seen| {
        let fields = [("etag", "\"one\""), ("cache-control", "no-cache")];
        match seen.headers.get("if-none-match") {
            Some(tag) if tag == "\"one\"" => with(304, Bytes::new(), &fields),
            _ => code(hello(), &fields),
        }
    })
    .await;
    let host = shelf.host().await;
    let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
    for _ in 0..3 {
        answers(&host, &token, HELLO).await;
    }
    let asked = shelf.origin.seen();
    let conditions: Vec<_> = asked
        .iter()
        .map(|seen| seen.headers.contains_key("if-none-match"))
        .collect();
    assert_eq!(conditions, [false, true, true]);
    assert_eq!(asked[0].headers["accept-encoding"], "identity");
    shelf.put(|_| code(echo(), &[("etag", "\"two\"")]));
    answers(&host, &token, ECHO).await;
}

/// A 304 makes an answer fresh again, for as long as the 304 says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_change_is_fresh_again() {
    let day = "Sun, 06 Nov 1994 08:49:37 GMT";
    let shelf = Shelf::start(move |_| {
        code(
            hello(),
            &[("last-modified", day), ("cache-control", "no-cache")],
        )
    })
    .await;
    let host = shelf.host().await;
    let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
    answers(&host, &token, HELLO).await;
    shelf.put(move |seen| {
        assert_eq!(seen.headers["if-modified-since"], day);
        with(304, Bytes::new(), &[("cache-control", "max-age=3600")])
    });
    for _ in 0..3 {
        answers(&host, &token, HELLO).await;
    }
    assert_eq!(shelf.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_kept_is_asked_for_each_time() {
    for said in [
        ("cache-control", "no-store, max-age=3600"),
        ("cache-control", "private, max-age=3600"),
        ("vary", "*"),
    ] {
        let shelf = Shelf::start(move |_| code(hello(), &[said, ("etag", "\"a\"")])).await;
        let host = shelf.host().await;
        let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
        for _ in 0..3 {
            answers(&host, &token, HELLO).await;
        }
        let asked = shelf.origin.seen();
        assert_eq!(asked.len(), 3, "{said:?}");
        let conditional = |seen: &webtask_tests::Seen| seen.headers.contains_key("if-none-match");
        assert!(!asked.iter().any(conditional), "{said:?}");
    }
}

/// One request serves what is stale and the answer comes meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_code_serves_while_it_is_asked_for_again() {
    let fields = [("cache-control", "max-age=0, stale-while-revalidate=3600")];
    let shelf = Shelf::start(move |_| code(hello(), &fields)).await;
    let host = shelf.host().await;
    let token = unpinned(&host, &shelf.origin.url("/a.wasm"));
    answers(&host, &token, HELLO).await;
    shelf.put(|_| code(echo(), &[("cache-control", "max-age=3600")]));
    answers(&host, &token, HELLO).await;
    let started = Instant::now();
    while shelf.asked() < 2 {
        assert!(started.elapsed() < SOON, "it is not asked for again");
        tokio::task::yield_now().await;
    }
    becomes(&host, &token, ECHO).await;
    assert_eq!(shelf.asked(), 2, "one asks for all");
}

/// The answer behind a redirect is kept for as long as both say, and the validator goes to its own URL only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_behind_a_redirect_is_kept_as_long_as_both_say() {
    let shelf = Shelf::start(|seen| match seen.path.as_str() {
        "/latest.wasm" => with(
            302,
            Bytes::new(),
            &[("location", "/1.wasm"), ("cache-control", "no-cache")],
        ),
        "/2.wasm" => code(echo(), &[]),
        _ if seen.headers.contains_key("if-none-match") => with(304, Bytes::new(), &[]),
        _ => code(
            hello(),
            &[("etag", "\"1\""), ("cache-control", "max-age=3600")],
        ),
    })
    .await;
    let host = shelf.host().await;
    let token = unpinned(&host, &shelf.origin.url("/latest.wasm"));
    answers(&host, &token, HELLO).await;
    answers(&host, &token, HELLO).await;
    let asked: Vec<_> = shelf
        .origin
        .seen()
        .iter()
        .map(|seen| {
            (
                seen.path.clone(),
                seen.headers.contains_key("if-none-match"),
            )
        })
        .collect();
    let expected = [
        ("/latest.wasm", false),
        ("/1.wasm", false),
        ("/latest.wasm", false),
        ("/1.wasm", true),
    ];
    assert_eq!(
        asked,
        expected.map(|(path, condition)| (path.to_owned(), condition))
    );
    shelf.put(|seen| match seen.path.as_str() {
        "/latest.wasm" => with(307, Bytes::new(), &[("location", "/2.wasm")]),
        _ => code(echo(), &[]),
    });
    answers(&host, &token, ECHO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_of_a_url_is_part_of_it_and_in_no_log() {
    let shelf = Shelf::start(|seen| {
        let bytes = if seen.path.ends_with("s3cr3t-hello") {
            hello()
        } else {
            echo()
        };
        code(bytes, &[("cache-control", "max-age=3600")])
    })
    .await;
    let host = shelf.host().await;
    let one = unpinned(&host, &shelf.origin.url("/a.wasm?s3cr3t-hello"));
    let two = unpinned(&host, &shelf.origin.url("/a.wasm?s3cr3t-echo"));
    answers(&host, &one, HELLO).await;
    answers(&host, &two, ECHO).await;
    assert_eq!(shelf.asked(), 2);
    // hyper and the like log at levels that no operator can set.
    let ours = |line: &String| line.contains("webtask_host") || line.contains(" INFO ");
    let told: Vec<_> = lines_of("s3cr3t-").into_iter().filter(ours).collect();
    assert!(told.is_empty(), "{told:?}");
}
