//! Code: from where it may come, what is refused, and how often it is fetched.

use std::{
    os::unix::fs::symlink,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::Response;
use sha2::{Digest as _, Sha256};
use webtask_tests::{Origin, TestHost, claims_for, examples, now, wait_for_line};
use webtask_token::Claims;

pub(super) fn at(url: &str) -> Claims {
    Claims::new(url, now())
}

async fn code_of(host: &TestHost, claims: &Claims) -> (u16, String, String) {
    let reply = host.get(&host.seal(claims), "").await;
    (
        reply.status.as_u16(),
        reply.code(),
        reply.request_id().to_owned(),
    )
}

pub(super) fn hello() -> Bytes {
    std::fs::read(examples::HELLO)
        .expect("hello is built")
        .into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_outside_the_allowed_directories_is_denied() {
    let outside = tempfile::tempdir().expect("a directory");
    let file = outside.path().join("hello.wasm");
    std::fs::write(&file, hello()).expect("a file");
    let host = TestHost::start().await;
    let (status, code, id) = code_of(&host, &at(&format!("file://{}", file.display()))).await;
    assert_eq!((status, code.as_str()), (403, "denied"));
    wait_for_line(&id, &format!("--allow-code {}", outside.path().display())).await;
}

/// No link and no `..` leads out of an allowed directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_link_leads_out_of_an_allowed_directory() {
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::write(outside.path().join("hello.wasm"), hello()).expect("a file");
    let inside = tempfile::tempdir().expect("a directory");
    symlink(
        outside.path().join("hello.wasm"),
        inside.path().join("link.wasm"),
    )
    .expect("a link");
    symlink(outside.path(), inside.path().join("dir")).expect("a link");
    std::fs::write(inside.path().join("real.wasm"), hello()).expect("a file");
    symlink("real.wasm", inside.path().join("within.wasm")).expect("a link");
    let host = TestHost::builder()
        .code(inside.path().to_str().expect("text"))
        .start()
        .await;
    for name in ["link.wasm", "dir/hello.wasm"] {
        let (status, code, _) = code_of(
            &host,
            &at(&format!("file://{}/{name}", inside.path().display())),
        )
        .await;
        assert_eq!((status, code.as_str()), (502, "component-fetch"), "{name}");
    }
    for name in ["real.wasm", "within.wasm"] {
        let token = host.seal(&at(&format!("file://{}/{name}", inside.path().display())));
        assert_eq!(host.get(&token, "").await.status, 200, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_cannot_run_says_why_in_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        format!("file://{}", path.display())
    };
    let core = write("core.wasm", b"\0asm\x01\0\0\0");
    let text = write("text.wasm", b"<html>not found</html>");
    let empty = write("empty.wasm", b"");
    // A component, valid and without exports.
    let other = write("other.wasm", b"\0asm\x0d\0\x01\0");
    let host = TestHost::builder()
        .code(dir.path().to_str().expect("text"))
        .start()
        .await;
    for (url, hint) in [
        (core, "--target wasm32-wasip2"),
        (text, "not WebAssembly"),
        (empty, "not WebAssembly"),
        (other, "cannot run here"),
    ] {
        let (status, code, id) = code_of(&host, &at(&url)).await;
        assert_eq!((status, code.as_str()), (502, "component-invalid"), "{url}");
        wait_for_line(&id, hint).await;
    }
    let gone = format!("file://{}/gone.wasm", dir.path().display());
    let (status, code, _) = code_of(&host, &at(&gone)).await;
    assert_eq!((status, code.as_str()), (502, "component-fetch"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_digest_never_runs() {
    let host = TestHost::start().await;
    let mut claims = claims_for(examples::HELLO);
    // In the cache under its own digest: the wrong one must not find it.
    assert_eq!(host.get(&host.seal(&claims), "").await.status, 200);
    claims.sha256 = Some([7; 32]);
    let (status, code, id) = code_of(&host, &claims).await;
    assert_eq!((status, code.as_str()), (502, "component-digest"));
    wait_for_line(&id, "0707070707").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_larger_than_the_limit_is_refused() {
    let host = TestHost::builder()
        .limits(|limits| limits.component_bytes = 1_000)
        .start()
        .await;
    let (status, code, _) = code_of(&host, &claims_for(examples::HELLO)).await;
    assert_eq!((status, code.as_str()), (502, "component-too-large"));
    let origin = Origin::start(|_| Response::new(hello())).await;
    let host = TestHost::builder()
        .limits(|limits| limits.component_bytes = 1_000)
        .loopback()
        .code(&origin.url("/"))
        .start()
        .await;
    let (status, code, _) = code_of(&host, &at(&origin.url("/hello.wasm"))).await;
    assert_eq!((status, code.as_str()), (502, "component-too-large"));
}

/// One flight per digest: a hundred first requests fetch once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pinned_code_is_fetched_once() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let origin = Origin::start(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Response::new(hello())
    })
    .await;
    let host = Arc::new(
        TestHost::builder()
            .loopback()
            .code(&origin.url("/"))
            .limits(|limits| limits.invocations = 200)
            .start()
            .await,
    );
    let mut claims = at(&origin.url("/hello.wasm"));
    claims.sha256 = Some(Sha256::digest(hello()).into());
    let token = host.seal(&claims);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (host, token) = (host.clone(), token.clone());
        callers.spawn(async move { host.get(&token, "").await.status });
    }
    while let Some(status) = callers.join_next().await {
        assert_eq!(status.expect("an answer"), 200);
    }
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
}

/// Trap 2, for code: a redirect leads only where the platform allows code anyway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_a_redirect_of_code_is_checked_anew() {
    let elsewhere = Origin::start(|_| Response::new(hello())).await;
    let target = elsewhere.url("/hello.wasm");
    let origin = Origin::start(move |seen| match seen.path.as_str() {
        "/code/out.wasm" => redirect(&target),
        "/code/in.wasm" => redirect("/code/real.wasm"),
        "/code/loop.wasm" => redirect("/code/loop.wasm"),
        "/code/file.wasm" => redirect("file:///etc/passwd"),
        _ => Response::new(hello()),
    })
    .await;
    let host = TestHost::builder()
        .loopback()
        .code(&origin.url("/code/"))
        .start()
        .await;
    let (status, code, id) = code_of(&host, &at(&origin.url("/code/out.wasm"))).await;
    assert_eq!((status, code.as_str()), (502, "component-fetch"));
    wait_for_line(&id, "is not allowed on this host").await;
    assert!(elsewhere.seen().is_empty());
    for name in ["loop.wasm", "file.wasm"] {
        let (status, code, _) = code_of(&host, &at(&origin.url(&format!("/code/{name}")))).await;
        assert!(
            matches!(
                (status, code.as_str()),
                (502, "component-fetch") | (403, "denied")
            ),
            "{name}: {status} {code}"
        );
    }
    assert_eq!(
        host.get(&host.seal(&at(&origin.url("/code/in.wasm"))), "")
            .await
            .status,
        200
    );
}

fn redirect(to: &str) -> Response<Bytes> {
    Response::builder()
        .status(302)
        .header("location", to)
        .body(Bytes::new())
        .expect("a response")
}

/// Fetching code passes the same address filter as a guest's calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_code_is_not_fetched_from_a_private_address() {
    let origin = Origin::start(|_| Response::new(hello())).await;
    let host = TestHost::builder().code("http://").start().await;
    for url in [
        origin.url("/hello.wasm"),
        format!("http://localhost:{}/hello.wasm", origin.address.port()),
    ] {
        let (status, code, id) = code_of(&host, &at(&url)).await;
        assert_eq!((status, code.as_str()), (502, "component-fetch"), "{url}");
        wait_for_line(&id, "not a public address").await;
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_answers_404_or_is_gone_is_component_fetch() {
    let origin = Origin::start(|_| {
        Response::builder()
            .status(404)
            .body(Bytes::new())
            .expect("a response")
    })
    .await;
    let host = TestHost::builder()
        .loopback()
        .code("http://127.0.0.1/")
        .code(&origin.url("/"))
        .start()
        .await;
    let (status, code, id) = code_of(&host, &at(&origin.url("/gone.wasm?signature=s3cr3t"))).await;
    assert_eq!((status, code.as_str()), (502, "component-fetch"));
    let line = wait_for_line(&id, "404").await;
    assert!(
        !line.contains("s3cr3t"),
        "a query may be a signature: {line}"
    );
    let url = origin.url("/hello.wasm");
    drop(origin);
    let (status, code, _) = code_of(&host, &at(&url)).await;
    assert_eq!((status, code.as_str()), (502, "component-fetch"));
}

/// A range opened for guests is no place to fetch code from, unless the platform names the very origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_a_redirect_of_code_does_not_reach_an_opened_range() {
    let internal = Origin::start(|_| Response::new(hello())).await;
    let host = TestHost::builder().loopback().code("http://").start().await;
    let (status, code, id) = code_of(&host, &at(&internal.url("/hello.wasm"))).await;
    assert_eq!((status, code.as_str()), (502, "component-fetch"));
    wait_for_line(&id, "not a public address").await;
    let target = internal.url("/internal?delete=all");
    let origin = Origin::start(move |_| redirect(&target)).await;
    let host = TestHost::builder()
        .loopback()
        .code("http://")
        .code(&origin.url("/"))
        .start()
        .await;
    let (status, code, _) = code_of(&host, &at(&origin.url("/x.wasm"))).await;
    assert_eq!((status, code.as_str()), (502, "component-fetch"));
    assert_eq!(origin.seen().len(), 1);
    assert!(internal.seen().is_empty());
}

/// Another's token with my digest and an origin that never answers does not hold up my code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_stalls_the_loading_of_anothers_code() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}/x", silent.local_addr().expect("bound"));
    let host = TestHost::builder()
        .loopback()
        .code(&url)
        .limits(|limits| limits.fetch = std::time::Duration::from_secs(5))
        .start()
        .await;
    let mine = claims_for(examples::HELLO);
    let mut theirs = at(&url);
    theirs.sha256 = mine.sha256;
    let (theirs, mine) = (host.seal(&theirs), host.seal(&mine));
    let stalled = host.get(&theirs, "");
    let mut stalled = std::pin::pin!(stalled);
    let _silent = tokio::select! {
        reply = &mut stalled => panic!("a silent origin answered: {reply:?}"),
        accepted = silent.accept() => accepted.expect("a connection"),
    };
    let reply = tokio::select! {
        reply = &mut stalled => panic!("the stalled flight was shared: {reply:?}"),
        reply = host.get(&mine, "") => reply,
    };
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_at_the_same_time_are_bounded() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}/x", silent.local_addr().expect("bound"));
    let origin = Origin::start(|_| Response::new(hello())).await;
    let host = TestHost::builder()
        .loopback()
        .code(&url)
        .code(&origin.url("/"))
        .limits(|limits| limits.fetches = 1)
        .start()
        .await;
    let other = at(&origin.url("/hello.wasm"));
    let token = host.seal(&at(&url));
    let mut stalled = std::pin::pin!(host.get(&token, ""));
    let stream = tokio::select! {
        reply = &mut stalled => panic!("a silent origin answered: {reply:?}"),
        accepted = silent.accept() => accepted.expect("a connection").0,
    };
    let (status, code, id) = code_of(&host, &other).await;
    assert_eq!((status, code.as_str()), (503, "overloaded"));
    wait_for_line(&id, "the limit fetches").await;
    assert!(origin.seen().is_empty());
    drop(stream);
    assert_eq!(stalled.await.code(), "component-fetch");
    // The place is free again.
    assert_eq!(host.get(&host.seal(&other), "").await.status, 200);
}
