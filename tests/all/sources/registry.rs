//! Code in registries: against `docker-registry` where it is installed, and a stand-in everywhere.

use bytes::Bytes;
use http::Response;
use serde_json::json;
use webtask_tests::{Guard, LOGIN, Registry, TestHost, lines_of, wait_for_line};

use super::{
    ECHO, HELLO, Shelf, answers, becomes, code, echo, fails, hello, pinned, unpinned, with,
};

async fn host(registry: &Registry) -> TestHost {
    let prefix = registry.prefix("team/");
    TestHost::builder().loopback().code(&prefix).start().await
}

fn config(registry: &Registry, auth: &str) -> String {
    json!({ "auths": { registry.address.to_string(): { "auth": auth } } }).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_runs_from_a_registry_by_tag_and_by_digest() {
    for registry in Registry::all(Guard::Open).await {
        let manifest = registry.push("team/task", "1.0", &hello()).await;
        let host = host(&registry).await;
        let tag = registry.url("team/task:1.0");
        let digest = registry.url(&format!("team/task@sha256:{manifest}"));
        let both = registry.url(&format!("team/task:moved@sha256:{manifest}"));
        fails(&host, &pinned(&host, &tag, b"another"), "component-digest").await;
        for url in [&tag, &digest, &both] {
            answers(&host, &unpinned(&host, url), HELLO).await;
            answers(&host, &pinned(&host, url, &hello()), HELLO).await;
        }
        // The digest of the component is not that of its manifest.
        let other = "7".repeat(64);
        for url in [
            registry.url(&format!("team/task@sha256:{other}")),
            registry.url("team/task:2"),
        ] {
            fails(&host, &unpinned(&host, &url), "component-fetch").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_moves_is_seen() {
    for registry in Registry::all(Guard::Open).await {
        registry.push("team/task", "latest", &hello()).await;
        let host = host(&registry).await;
        let token = unpinned(&host, &registry.url("team/task:latest"));
        answers(&host, &token, HELLO).await;
        registry.push("team/task", "latest", &echo()).await;
        becomes(&host, &token, ECHO).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_did_not_move_is_not_pulled_again() {
    let registry = Registry::here(Guard::Open, |_, mut answer| {
        let always = http::HeaderValue::from_static("no-cache");
        answer.headers_mut().insert("cache-control", always);
        answer
    })
    .await;
    registry.push("team/task", "1", &hello()).await;
    let host = host(&registry).await;
    let token = unpinned(&host, &registry.url("team/task:1"));
    for _ in 0..3 {
        answers(&host, &token, HELLO).await;
    }
    let gets = |part: &str| {
        let seen = registry.seen();
        let of = seen
            .iter()
            .filter(|seen| seen.method == "GET" && seen.path.contains(part));
        of.count()
    };
    assert_eq!((gets("/manifests/"), gets("/blobs/")), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_wants_credentials_gets_those_for_it() {
    let mut registries = Registry::all(Guard::Basic).await;
    registries.push(Registry::here(Guard::Bearer, |_, answer| answer).await);
    for registry in registries {
        registry.push("team/task", "1", &hello()).await;
        let url = registry.url("team/task:1");
        let anonymous = host(&registry).await;
        let reply = fails(&anonymous, &unpinned(&anonymous, &url), "component-fetch").await;
        wait_for_line(reply.request_id(), "--registry-auth").await;
        for (auth, good) in [(LOGIN, true), ("YWRhOndyb25n", false)] {
            let host = TestHost::builder()
                .loopback()
                .code(&registry.prefix("team/"))
                .registries(&config(&registry, auth))
                .start()
                .await;
            let token = unpinned(&host, &url);
            if good {
                answers(&host, &token, HELLO).await;
            } else {
                fails(&host, &token, "component-fetch").await;
            }
        }
    }
}

/// Neither the password nor the token of a registry goes to where it redirects, or into a log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_a_registry_go_nowhere_else() {
    for guard in [Guard::Basic, Guard::Bearer] {
        let storage = Shelf::start(|_| code(hello(), &[])).await;
        let blob = storage.origin.url("/blob?signature=1");
        let registry = Registry::here(guard, move |seen, answer| {
            match seen.path.contains("/blobs/") {
                true => with(307, Bytes::new(), &[("location", &blob)]),
                false => answer,
            }
        })
        .await;
        registry.push("team/task", "1", &hello()).await;
        let pushed = registry.seen().len();
        let host = TestHost::builder()
            .loopback()
            .code(&registry.prefix("team/"))
            .code(&storage.origin.url("/"))
            .registries(&config(&registry, LOGIN))
            .start()
            .await;
        answers(&host, &unpinned(&host, &registry.url("team/task:1")), HELLO).await;
        let stored = storage.origin.seen();
        assert_eq!(stored.len(), 1);
        assert!(
            !stored[0].headers.contains_key("authorization"),
            "{stored:?}"
        );
        let asked = registry.seen().split_off(pushed);
        assert!(
            !asked[0].headers.contains_key("authorization"),
            "asked for first"
        );
        let tokens: Vec<_> = asked
            .iter()
            .filter(|seen| seen.path.starts_with("/token"))
            .collect();
        assert_eq!(tokens.is_empty(), guard == Guard::Basic);
        for token in tokens {
            // What is needed, and not what the registry would have had us ask for.
            assert_eq!(
                token.path,
                "/token?service=test&scope=repository%3Ateam%2Ftask%3Apull"
            );
        }
        for secret in [LOGIN, "t0ken-of-the-registry"] {
            let ours = |line: &String| line.contains("webtask_host");
            let told: Vec<_> = lines_of(secret).into_iter().filter(ours).collect();
            assert!(told.is_empty(), "{told:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_lies_is_refused() {
    type Change = fn(Response<Bytes>) -> Response<Bytes>;
    let cases: [(&'static str, Change, &str, &str); 5] = [
        (
            "/blobs/",
            |_| code(vec![0; 4 << 20].into(), &[]),
            "component-fetch",
            "the layer is larger",
        ),
        (
            "/blobs/",
            |_| code(Bytes::from(vec![0; 9]), &[]),
            "component-fetch",
            "the layer has SHA-256",
        ),
        (
            "/manifests/",
            |_| code("{}".into(), &[]),
            "component-fetch",
            "not one of an image",
        ),
        (
            "/manifests/",
            |_| code(vec![b' '; 300_000].into(), &[]),
            "component-fetch",
            "the manifest is larger",
        ),
        (
            "/manifests/",
            |answer| answer.map(|body| [body, " ".into()].concat().into()),
            "component-fetch",
            "the manifest has SHA-256",
        ),
    ];
    for (part, change, error, reason) in cases {
        let registry = Registry::here(Guard::Open, move |seen, answer| {
            match seen.path.contains(part) {
                true => change(answer),
                false => answer,
            }
        })
        .await;
        registry.push("team/task", "1", &hello()).await;
        let host = host(&registry).await;
        let reply = fails(&host, &unpinned(&host, &registry.url("team/task:1")), error).await;
        wait_for_line(reply.request_id(), reason).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_no_component_is_refused() {
    for registry in Registry::all(Guard::Open).await {
        let hello = hello();
        registry
            .push_layers(
                "team/tar",
                "1",
                &[("application/vnd.oci.image.layer.v1.tar", &hello)],
            )
            .await;
        registry
            .push_layers(
                "team/two",
                "1",
                &[("application/wasm", &hello), ("application/wasm", b"x")],
            )
            .await;
        registry.push("team/text", "1", b"no component").await;
        let host = host(&registry).await;
        for (name, error, reason) in [
            ("tar", "component-fetch", "not application/wasm"),
            ("two", "component-fetch", "2 layers"),
            ("text", "component-invalid", "not WebAssembly"),
        ] {
            let token = unpinned(&host, &registry.url(&format!("team/{name}:1")));
            let reply = fails(&host, &token, error).await;
            wait_for_line(reply.request_id(), reason).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_in_a_registry_needs_its_prefix() {
    let registry = Registry::here(Guard::Open, |_, answer| answer).await;
    registry.push("team/task", "1", &hello()).await;
    registry.push("teams/task", "1", &hello()).await;
    let before = registry.seen().len();
    let named = host(&registry).await;
    let token = unpinned(&named, &registry.url("teams/task:1"));
    let reply = fails(&named, &token, "denied").await;
    wait_for_line(
        reply.request_id(),
        &format!("--allow-code {}", registry.url("teams/")),
    )
    .await;
    // Any registry is any public one, over TLS.
    let any = TestHost::builder().loopback().code("oci://").start().await;
    let reply = fails(
        &any,
        &unpinned(&any, &registry.url("team/task:1")),
        "component-fetch",
    )
    .await;
    wait_for_line(reply.request_id(), "not a public address").await;
    assert_eq!(registry.seen().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_has_mirrors_as_well() {
    for registry in Registry::all(Guard::Open).await {
        registry.push("copies/team/task", "1", &hello()).await;
        let host = TestHost::builder()
            .loopback()
            .code("oci://registry.example.com/team/")
            .mirror(&format!(
                "oci://registry.example.com/={} only",
                registry.prefix("copies/")
            ))
            .start()
            .await;
        let token = unpinned(&host, "oci://registry.example.com/team/task:1");
        answers(&host, &token, HELLO).await;
        let token = unpinned(&host, &registry.url("copies/team/task:1"));
        fails(&host, &token, "denied").await;
    }
}

/// The digest of a manifest pins as well as that of a component.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_with_a_digest_is_never_asked_for_again() {
    let registry = Registry::here(Guard::Open, |_, mut answer| {
        let always = http::HeaderValue::from_static("no-store");
        answer.headers_mut().insert("cache-control", always);
        answer
    })
    .await;
    let manifest = registry.push("team/task", "1", &hello()).await;
    let host = host(&registry).await;
    let url = registry.url(&format!("team/task:1@sha256:{manifest}"));
    let token = unpinned(&host, &url);
    answers(&host, &token, HELLO).await;
    let asked = registry.seen().len();
    for _ in 0..3 {
        answers(&host, &token, HELLO).await;
    }
    assert_eq!(registry.seen().len(), asked);
}
