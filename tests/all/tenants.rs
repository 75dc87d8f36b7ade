//! What the operator says of single tenants: ceilings, bounds, and who is served at all.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::net::TcpListener;
use webtask_tests::{
    Origin, Reply, SOON, Slow, TestHost, claims_for, examples, guests, now, policy_with,
    wait_for_line,
};
use webtask_token::Claims;

fn of(tenant: &str, wasm: &str) -> Claims {
    let mut claims = claims_for(wasm);
    claims.tenant = tenant.to_owned();
    claims
}

async fn get(host: &TestHost, claims: &Claims, path: &str) -> Reply {
    host.get(&host.seal(claims), path).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_limits_hold_for_its_tokens_and_no_others() {
    let host = TestHost::builder()
        .tenants("[tenants.small.limits]\nmemory = '4MiB'\n")
        .start()
        .await;
    let mut claims = of("small", guests::MEMORY);
    assert_eq!(get(&host, &claims, "/?mb=8").await.code(), "guest-memory");
    // A token never raises a limit.
    claims.lim.memory = Some(32 << 20);
    assert_eq!(get(&host, &claims, "/?mb=8").await.code(), "guest-memory");
    let other = of("other", guests::MEMORY);
    assert_eq!(get(&host, &other, "/?mb=8").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_sends_no_request_outside_of_its_list() {
    let origin = Origin::start(|_| Response::new("it came".into())).await;
    let text = format!(
        "[tenants.acme]\nout = ['GET {}']\n[tenants.none]\nout = []\n",
        origin.url("/v1/*")
    );
    let host = TestHost::builder().loopback().tenants(&text).start().await;
    let ask = async |tenant: &str, path: &str, out: &[&str]| {
        let mut claims = of(tenant, guests::OUTBOUND);
        let grants = out.iter().map(|grant| grant.parse().expect("a grant"));
        claims.out = grants.collect();
        get(
            &host,
            &claims,
            &format!("/?method=GET&url={}", origin.url(path)),
        )
        .await
    };
    let all = format!("* {}", origin.url("/*"));
    assert_eq!(
        ask("acme", "/v1/a", &[&all]).await.json()["body"],
        "it came"
    );
    assert_eq!(ask("other", "/v2", &[&all]).await.json()["body"], "it came");
    for (tenant, path) in [("acme", "/v2"), ("none", "/v1/a")] {
        let reply = ask(tenant, path, &[&all]).await;
        assert_eq!(reply.json()["code"], "HTTP-request-denied", "{reply:?}");
        let line = wait_for_line(reply.request_id(), "reason=tenant").await;
        assert!(line.contains(&format!("[tenants.{tenant}]")), "{line}");
    }
    // The list grants nothing by itself.
    let reply = ask("acme", "/v1/a", &[]).await;
    wait_for_line(reply.request_id(), "reason=no-grant").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_code_comes_from_its_own_prefixes() {
    let hello = std::fs::read(examples::HELLO).expect("hello is built");
    let elsewhere = Origin::start({
        let hello = hello.clone();
        move |_| Response::new(hello.clone().into())
    })
    .await;
    let target = elsewhere.url("/hello.wasm");
    let origin = Origin::start(move |seen| match seen.path.as_str() {
        "/acme/out.wasm" => Response::builder()
            .status(302)
            .header("location", &target)
            .body(Bytes::new())
            .expect("a response"),
        _ => Response::new(hello.clone().into()),
    })
    .await;
    let text = format!(
        "[tenants.acme]\nallow-code = ['{}']\n",
        origin.url("/acme/")
    );
    let host = TestHost::builder()
        .loopback()
        .code(&origin.url("/"))
        .code(&elsewhere.url("/"))
        .tenants(&text)
        .start()
        .await;
    let ask = async |tenant: &str, path: &str| {
        let mut claims = Claims::new(origin.url(path), now());
        claims.tenant = tenant.to_owned();
        get(&host, &claims, "").await
    };
    assert_eq!(ask("acme", "/acme/hello.wasm").await.status, 200);
    // Another tenant has it compiled: that makes no difference.
    assert_eq!(ask("other", "/other/hello.wasm").await.status, 200);
    let reply = ask("acme", "/other/hello.wasm").await;
    assert_eq!(reply.code(), "denied");
    wait_for_line(reply.request_id(), "allow-code of [tenants.acme]").await;
    // Nor does a redirect lead there.
    assert_eq!(ask("other", "/acme/out.wasm").await.status, 200);
    let reply = ask("acme", "/acme/out.wasm").await;
    assert_eq!(reply.code(), "component-fetch");
    wait_for_line(reply.request_id(), "not allowed for the tenant acme").await;
}

/// Compiled code is shared by digest, and the policy of one tenant is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_policy_refuses_imports_and_secrets_for_that_tenant_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("acme.wit");
    let policy = policy_with("").replace("world", "/// limit: wall=300ms\nworld");
    std::fs::write(&file, policy).expect("a file");
    let text = format!("[tenants.acme]\npolicy = '{}'\n", file.display());
    let host = TestHost::builder().tenants(&text).start().await;
    for tenant in ["other", "acme", "other"] {
        let reply = get(&host, &of(tenant, guests::SECRETS), "/").await;
        if tenant == "acme" {
            assert_eq!(reply.code(), "component-invalid");
            let line = wait_for_line(reply.request_id(), "for the tenant acme").await;
            assert!(line.contains("webtask:runtime/secrets@0.1.0"), "{line}");
        } else {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }
    assert_eq!(
        get(&host, &of("acme", examples::HELLO), "/").await.status,
        200
    );
    let reply = get(&host, &of("acme", guests::PARK), "/").await;
    assert_eq!(reply.code(), "guest-deadline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_rate_is_of_all_its_tokens_together() {
    let host = TestHost::builder()
        .tenants("[tenants.acme]\nrate = 3\n")
        .start()
        .await;
    for _ in 0..3 {
        // Each is sealed anew: a token of its own.
        assert_eq!(
            get(&host, &of("acme", examples::HELLO), "/").await.status,
            200
        );
    }
    let reply = get(&host, &of("acme", examples::HELLO), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (429, "rate-limited")
    );
    assert_eq!(reply.json()["limit"], "tenant-rate");
    assert!(reply.headers.contains_key("retry-after"));
    assert_eq!(
        get(&host, &of("other", examples::HELLO), "/").await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_that_are_not_configured_may_be_refused() {
    let host = TestHost::builder()
        .tenants("unknown-tenants = 'refuse'\n[tenants.acme]\n")
        .start()
        .await;
    assert_eq!(
        get(&host, &of("acme", examples::HELLO), "/").await.status,
        200
    );
    let reply = get(&host, &of("other", examples::HELLO), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (403, "denied")
    );
    wait_for_line(reply.request_id(), "[tenants.other]").await;
    let call = async |path: &str| {
        let token = host.seal(&of("other", examples::HELLO));
        let request = Request::post(path).header("webtask-token", token);
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        host.send(request).await
    };
    // It mints nothing either, and ends what it has.
    assert_eq!(call("/v1/tokens").await.code(), "denied");
    assert_eq!(call("/v1/revoke").await.status, 200);
}

/// Takes a place of `claims` until it is dropped.
async fn holds(
    host: &Arc<TestHost>,
    claims: &Claims,
    origin: &Slow,
) -> tokio::task::JoinHandle<()> {
    let (host, token) = (host.clone(), host.seal(claims));
    let path = format!("/?url={}/head", origin.url);
    let held = tokio::spawn(async move {
        host.get(&token, &path).await;
    });
    origin.begun().await;
    held
}

fn relay(tenant: &str, origin: &Slow) -> Claims {
    let mut claims = of(tenant, guests::RELAY);
    claims.out = vec![format!("GET {}/*", origin.url).parse().expect("a grant")];
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_and_a_token_are_told_when_they_have_all_of_their_places() {
    let origin = Slow::start(None).await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| {
            limits.token_invocations = 1;
            limits.wall = SOON * 4;
        })
        .tenants("[tenants.acme]\ninvocations = 2\n")
        .start()
        .await;
    let host = Arc::new(host);
    let busy = |reply: Reply, code: &str, limit: &str| {
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (429, code),
            "{reply:?}"
        );
        assert_eq!(reply.json()["limit"], limit);
        assert_eq!(reply.headers["retry-after"], "1");
    };
    let first = relay("acme", &origin);
    let token = host.seal(&first);
    let _one = {
        let (host, token, url) = (host.clone(), token.clone(), origin.url.clone());
        let one = tokio::spawn(async move {
            host.get(&token, &format!("/?url={url}/head")).await;
        });
        origin.begun().await;
        one
    };
    busy(
        host.get(&token, "/").await,
        "token-busy",
        "token-invocations",
    );
    // What is made from it is the same token.
    let caveat = webtask_token::Caveat {
        note: Some("narrower".to_owned()),
        ..webtask_token::Caveat::default()
    };
    let narrower = webtask_token::attenuate(&token, &caveat).expect("a valid caveat");
    busy(
        host.get(&narrower, "/").await,
        "token-busy",
        "token-invocations",
    );
    let _two = holds(&host, &first, &origin).await;
    let reply = get(&host, &of("acme", examples::HELLO), "/").await;
    busy(reply, "tenant-busy", "tenant-invocations");
    assert_eq!(
        get(&host, &of("other", examples::HELLO), "/").await.status,
        200
    );
}

/// Full of one tenant's runs and with more of them waiting, the next place is the other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_comes_free_goes_to_the_tenant_with_the_fewest() {
    let origin = Slow::start(None).await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| {
            limits.invocations = 2;
            limits.queue = 2;
            limits.queue_time = SOON;
            limits.wall = SOON * 4;
        })
        .start()
        .await;
    let host = Arc::new(host);
    let greedy = relay("greedy", &origin);
    // Loaded before, so that all reach the queue.
    for tenant in ["greedy", "polite"] {
        assert_eq!(
            get(&host, &of(tenant, examples::HELLO), "/").await.status,
            200
        );
    }
    let one = holds(&host, &greedy, &origin).await;
    let _two = holds(&host, &greedy, &origin).await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (host, token) = (host.clone(), host.seal(&greedy));
        let path = format!("/?url={}/head", origin.url);
        waiting.spawn(async move { host.get(&token, &path).await });
    }
    // Two wait, and the third is told at once, long before anybody's time to wait is over.
    let refused = waiting.join_next().await.expect("three").expect("no panic");
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "overloaded")
    );
    assert!(refused.took < SOON / 2 && refused.headers.contains_key("retry-after"));
    let polite = of("polite", examples::HELLO);
    let polite = get(&host, &polite, "/");
    let mut polite = std::pin::pin!(polite);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut polite).await;
    assert!(early.is_err(), "{early:?}");
    one.abort();
    assert_eq!(polite.await.status, 200);
    origin.begun().await;
}

/// A slow origin of code takes the places for fetching of its own tenant, and not those of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_takes_no_more_than_its_places_for_fetching() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", silent.local_addr().expect("bound"));
    let hello = std::fs::read(examples::HELLO).expect("hello is built");
    let origin = Origin::start(move |_| Response::new(hello.clone().into())).await;
    let host = TestHost::builder()
        .loopback()
        .code(&url)
        .code(&origin.url("/"))
        .limits(|limits| {
            limits.fetches = 2;
            limits.tenant_fetches = 1;
            limits.fetch = SOON * 4;
        })
        .start()
        .await;
    let claims = |tenant: &str, url: String| {
        let mut claims = Claims::new(url, now());
        claims.tenant = tenant.to_owned();
        claims
    };
    let stalled = claims("slow", format!("{url}a.wasm"));
    let stalled = get(&host, &stalled, "");
    let mut stalled = std::pin::pin!(stalled);
    let _connection = tokio::select! {
        reply = &mut stalled => panic!("a silent origin answered: {reply:?}"),
        accepted = silent.accept() => accepted.expect("a connection"),
    };
    let others = async {
        let reply = get(&host, &claims("slow", format!("{url}b.wasm")), "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (429, "tenant-busy")
        );
        assert_eq!(reply.json()["limit"], "tenant-fetches");
        let code = claims("other", origin.url("/hello.wasm"));
        assert_eq!(get(&host, &code, "").await.status, 200);
    };
    tokio::select! {
        reply = &mut stalled => panic!("it ended: {reply:?}"),
        () = others => {}
    }
}
