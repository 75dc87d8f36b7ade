//! The platform's policy: a ceiling over every token, whatever it says.

use webtask_host::audit::Grants;
use webtask_tests::{
    Origin, SOON, TestHost, claims_for, examples, guests, policy_with, wait_for_line,
};
use webtask_token::{Claims, Keyring, Limits, Secret, SecretClaim};

use http::Response;

/// The import of outbound HTTP with these lines above it.
fn outbound(rules: &[String]) -> String {
    let rules: String = rules.iter().map(|rule| format!("  /// {rule}\n")).collect();
    policy_with(&format!(
        "{rules}  import wasi:http/outgoing-handler@0.2.12;"
    ))
}

async fn origin() -> Origin {
    Origin::start(|_| Response::new("it came".into())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_beyond_the_policy_allows_nothing() {
    let origin = origin().await;
    let (inside, outside) = (origin.url("/v1/a"), origin.url("/v2/a"));
    let rule = format!("allow: GET,POST {}", origin.url("/v1/*"));
    let host = TestHost::builder()
        .loopback()
        .policy(&outbound(&[rule]))
        .start()
        .await;
    // The token grants all of it.
    let grant = format!("* {}", origin.url("/*"));
    let token = host.token_with_grants(guests::OUTBOUND, &[&grant]);
    let ask = async |method: &str, url: &str| {
        let path = format!("/?method={method}&url={url}");
        host.get(&token, &path).await
    };
    assert_eq!(ask("GET", &inside).await.json()["body"], "it came");
    for (method, url) in [("GET", &outside), ("PUT", &inside)] {
        let reply = ask(method, url).await;
        assert_eq!(reply.json()["code"], "HTTP-request-denied", "{reply:?}");
        let line = wait_for_line(reply.request_id(), "reason=policy").await;
        assert!(
            line.contains("test:platform/policy")
                && line.contains(&format!("allow: {method} {url}")),
            "{line}"
        );
    }
    // And the policy grants nothing by itself.
    let token = host.token(guests::OUTBOUND);
    let reply = host
        .get(&token, &format!("/?method=GET&url={inside}"))
        .await;
    wait_for_line(reply.request_id(), "reason=no-grant").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_7_a_policy_without_a_rule_allows_nothing_and_a_star_leaves_it_to_the_tokens() {
    let origin = origin().await;
    let url = origin.url("/");
    for (rules, reason) in [(vec![], true), (vec!["allow: *".to_owned()], false)] {
        let host = TestHost::builder()
            .loopback()
            .policy(&outbound(&rules))
            .start()
            .await;
        let token = host.token_with_grants(guests::OUTBOUND, &[&format!("GET {url}")]);
        let reply = host.get(&token, &format!("/?method=GET&url={url}")).await;
        assert_eq!(
            reply.json()["code"] == "HTTP-request-denied",
            reason,
            "{reply:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_imports_more_than_the_policy_is_not_loaded() {
    let host = TestHost::builder().policy(&policy_with("")).start().await;
    // Imports what language runtimes import, files and sockets among it, and nothing that needs a grant.
    let reply = host.get(&host.token(examples::HELLO), "/").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    for (guest, import) in [
        (guests::OUTBOUND, "wasi:http/outgoing-handler@0.2"),
        (guests::SECRETS, "webtask:runtime/secrets@0.1.0"),
    ] {
        let token = host.token_with_grants(guest, &["* https://h.test/*"]);
        let reply = host.get(&token, "/").await;
        assert_eq!(reply.code(), "component-invalid");
        let line = wait_for_line(reply.request_id(), "outside of the platform's policy").await;
        assert!(
            line.contains(import) && line.contains("test:platform/policy"),
            "{line}"
        );
    }
    // Clocks give something: they have to be in it.
    let clockless: String = policy_with("")
        .lines()
        .filter(|line| !line.contains("clock"))
        .map(|line| format!("{line}\n"))
        .collect();
    let host = TestHost::builder().policy(&clockless).start().await;
    let reply = host.get(&host.token(guests::PARK), "/").await;
    assert_eq!(reply.code(), "component-invalid");
    wait_for_line(reply.request_id(), "imports wasi:clocks/").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_beyond_the_policy_does_not_reach_the_code() {
    let policy = policy_with("/// secret: mine\nimport webtask:runtime/secrets@0.1.0;");
    let host = TestHost::builder().policy(&policy).start().await;
    let secrets = [("mine", "m-value"), ("other", "o-value")];
    let token = host.token_with_secrets(guests::SECRETS, &secrets);
    let reply = host.get(&token, "/?get=mine,other").await;
    let text = reply.text();
    assert!(
        text.contains("m-value") && !text.contains("o-value"),
        "{text}"
    );
    let line = wait_for_line(reply.request_id(), "secret: other").await;
    assert!(line.contains("test:platform/policy"), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_secret_goes_only_where_the_policy_has_it() {
    let origin = origin().await;
    let slot = |path: &str| format!("GET {} x-key: {{}}", origin.url(path));
    let rules = [
        format!("allow: GET {}", origin.url("/*")),
        format!("bind: key={}", slot("/a")),
    ];
    let host = TestHost::builder()
        .loopback()
        .policy(&outbound(&rules))
        .start()
        .await;
    let mut claims = claims_for(guests::OUTBOUND);
    claims.out = vec![
        format!("GET {}", origin.url("/*"))
            .parse()
            .expect("a grant"),
    ];
    let secret = SecretClaim {
        value: Secret::new("the-bound-value".to_owned()),
        slots: ["/a", "/b"]
            .map(|path| slot(path).parse().expect("a slot"))
            .into(),
    };
    claims.secrets.insert("key".to_owned(), secret);
    let token = host.seal(&claims);
    for (path, carried) in [("/a", Some("the-bound-value")), ("/b", None)] {
        let url = origin.url(path);
        let reply = host.get(&token, &format!("/?method=GET&url={url}")).await;
        assert_eq!(reply.json()["body"], "it came", "{reply:?}");
        let line = wait_for_line(reply.request_id(), "secret key: ").await;
        assert!(line.contains("test:platform/policy"), "{line}");
        let seen = origin.seen();
        let seen = seen.last().expect("a request");
        let value = seen
            .headers
            .get("x-key")
            .map(|value| value.to_str().expect("text"));
        assert_eq!(value, carried, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_rates_of_the_policy_hold_for_every_token() {
    let policy = policy_with("");
    let policy = policy.replace("world", "/// limit: wall=300ms\n/// limit: rate=2\nworld");
    let host = TestHost::builder().policy(&policy).start().await;
    let mut claims = claims_for(guests::PARK);
    claims.lim = Limits {
        wall_ms: Some(15_000),
        ..Limits::default()
    };
    let reply = host.get(&host.seal(&claims), "/").await;
    assert_eq!(reply.code(), "guest-deadline");
    assert!(reply.took < SOON, "{reply:?}");
    // The token's own rate is higher, or lower.
    for (rate, calls) in [(None, 2), (Some(100), 2), (Some(1), 1)] {
        let mut claims = claims_for(examples::HELLO);
        claims.lim.rate = rate;
        let token = host.seal(&claims);
        for _ in 0..calls {
            assert_eq!(host.get(&token, "/").await.status, 200);
        }
        assert_eq!(host.get(&token, "/").await.code(), "rate-limited");
    }
}

/// What the audit prints of a token is a policy that this token fits into and a wider one does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_world_of_a_token_is_a_policy_that_fits_it() {
    let origin = origin().await;
    let mut claims: Claims = claims_for(guests::OUTBOUND);
    let grant = format!("GET {}", origin.url("/v1/*"));
    claims.out = vec![grant.parse().expect("a grant")];
    claims.lim.memory = Some(32 << 20);
    let keyring = Keyring::generate(None);
    let token = keyring.seal(&claims).expect("valid claims");
    let opened = keyring.open(&token, claims.iat).expect("it opens");
    let world = Grants::of(&opened).expect("few grants").to_wit();
    let host = TestHost::builder().loopback().policy(&world).start().await;
    let token = host.seal(&claims);
    let ask = async |token: &str, url: &str| {
        let reply = host.get(token, &format!("/?method=GET&url={url}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    assert_eq!(ask(&token, &origin.url("/v1/a")).await["body"], "it came");
    claims.out = vec![format!("* {}", origin.url("/*")).parse().expect("a grant")];
    let wider = host.seal(&claims);
    assert_eq!(ask(&wider, &origin.url("/v1/a")).await["body"], "it came");
    assert_eq!(
        ask(&wider, &origin.url("/v2")).await["code"],
        "HTTP-request-denied"
    );
}
