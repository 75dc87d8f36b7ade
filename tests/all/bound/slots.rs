//! Which requests carry a secret, and what becomes of them.

use webtask_tests::{TestHost, wait_for_line};
use webtask_token::{Caveat, attenuate};

use super::{Echo, VALUE, assert_only_in_its_header, bound_claims, call, guests, loopback, secret};

/// Any number of slots: each its header, and no request else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_fill_the_requests_that_they_match_and_no_others() {
    let echo = Echo::start().await;
    let host = loopback().await;
    let mut claims = bound_claims(guests::OUTBOUND, &echo);
    let at = echo.address;
    // The example of GitHub's documentation on webhooks.
    let hook = format!("POST http://{at}/slot/* x-hub-signature-256: hmac-sha256:sha256={{}}");
    claims.secrets.insert(
        "hook".into(),
        secret("It's a Secret to Everybody", &[&hook]),
    );
    // RFC 7617 section 2.
    let basic = format!("POST http://{at}/slot/hook x-user: basic:Aladdin");
    claims
        .secrets
        .insert("basic".into(), secret("open sesame", &[&basic]));
    let token = host.seal(&claims);
    let url = |path: &str| format!("http://{at}{path}");
    let fields = [
        ("accept-encoding", "gzip"),
        ("accept-charset", "utf-16"),
        ("range", "bytes=0-3"),
        ("if-range", "x"),
        ("a-im", "vcdiff"),
        ("x-http-method", "DELETE"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-other", "kept"),
    ];
    let reply = call(
        &host,
        &token,
        "POST",
        &url("/slot/hook?in=sent"),
        &fields,
        "Hello, World!",
    )
    .await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    let wire = echo.seen()[0].clone();
    for (name, value) in [
        ("authorization", format!("Bearer {VALUE}").as_str()),
        ("x-user", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        (
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
        ("content-length", "13"),
        ("accept-encoding", "identity"),
        ("x-other", "kept"),
    ] {
        assert_eq!(wire.fields(name), [value], "{wire:?}");
    }
    for name in [
        "range",
        "if-range",
        "accept-charset",
        "a-im",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "transfer-encoding",
    ] {
        assert_eq!(wire.fields(name), Vec::<&str>::new(), "{wire:?}");
    }
    assert_eq!(wire.body, b"Hello, World!");
    // The signature is no secret: whoever has the body and the key makes it.
    let reply = call(&host, &token, "POST", &url("/slot/x?in=sent"), &[], "").await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    let wire = echo.seen()[1].clone();
    assert_eq!(wire.fields("x-user"), Vec::<&str>::new());
    // HMAC-SHA256 of nothing: openssl dgst -sha256 -hmac
    assert_eq!(
        wire.fields("x-hub-signature-256"),
        ["sha256=66a0c074deaa0f489ead6537e0d32f9a344b90bbeda705b6ed45ecd3b413fb40"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_signed_is_bounded() {
    let echo = Echo::start().await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.signed_bytes = 13)
        .start()
        .await;
    let mut claims = bound_claims(guests::OUTBOUND, &echo);
    let hook = format!(
        "POST http://{}/slot/* x-signature: hmac-sha256:{{}}",
        echo.address
    );
    claims.secrets.insert(
        "hook".into(),
        secret("It's a Secret to Everybody", &[&hook]),
    );
    let token = host.seal(&claims);
    let url = format!("http://{}/slot/hook?in=sent", echo.address);
    let reply = call(&host, &token, "POST", &url, &[], "Hello, World!!").await;
    assert_eq!(reply.json()["code"], "HTTP-request-body-size", "{reply:?}");
    wait_for_line(reply.request_id(), "limit signed-bytes").await;
    assert!(echo.seen().is_empty());
    let reply = call(&host, &token, "POST", &url, &[], "Hello, World!").await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
}

/// A slot is no grant, and a caveat that takes the grant takes the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_secret_goes_nowhere_that_the_request_may_not() {
    let echo = Echo::start().await;
    let host = loopback().await;
    let url = format!("http://{}/slot/echo?in=sent", echo.address);
    let claims = bound_claims(guests::OUTBOUND, &echo);
    let mut ungranted = claims.clone();
    ungranted.out.clear();
    let narrowed = |grants: &[String]| {
        let out = grants
            .iter()
            .map(|grant| grant.parse().expect("a grant"))
            .collect();
        let caveat = Caveat {
            out: Some(out),
            ..Caveat::default()
        };
        attenuate(&host.seal(&claims), &caveat).expect("narrowed")
    };
    for token in [
        host.seal(&ungranted),
        narrowed(&[]),
        narrowed(&["GET http://127.0.0.1:1/*".to_owned()]),
        narrowed(&[format!("GET http://{}/slot/other", echo.address)]),
    ] {
        let reply = call(&host, &token, "GET", &url, &[], "").await;
        assert_eq!(reply.json()["error"], "denied", "{reply:?}");
    }
    assert!(echo.seen().is_empty());
    let token = narrowed(&[format!("GET http://{}/slot/echo", echo.address)]);
    let reply = call(&host, &token, "GET", &url, &[], "").await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    assert_only_in_its_header(&echo);
}

/// Origins that no slot names get what the guest asks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_origins_are_not_touched() {
    let (echo, other) = (Echo::start().await, Echo::start().await);
    let host = loopback().await;
    let mut claims = bound_claims(guests::OUTBOUND, &echo);
    claims.out.push(
        format!("* http://{}/*", other.address)
            .parse()
            .expect("a grant"),
    );
    let url = format!("http://{}/slot/echo?in=body&negotiate", other.address);
    let fields = [
        ("range", "bytes=0-4"),
        ("accept-encoding", "gzip"),
        ("authorization", "mine"),
        ("x-http-method-override", "DELETE"),
    ];
    let reply = call(&host, &host.seal(&claims), "GET", &url, &fields, "").await;
    assert_eq!(
        (&reply.json()["status"], &reply.json()["body"]),
        (&206.into(), &"you s".into()),
        "{reply:?}"
    );
    for (name, value) in &fields[1..] {
        assert_eq!(other.seen()[0].fields(name), [*value]);
    }
}

/// Whatever the code is: it uses the secret, and does not read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpinned_token_keeps_its_bound_secret() {
    let echo = Echo::start().await;
    let host = loopback().await;
    let mut claims = bound_claims(guests::SECRETS, &echo);
    claims.sha256 = None;
    let reply = host.get(&host.seal(&claims), "/?get=key").await;
    assert_eq!(reply.json()["get"]["key"]["error"], "bound", "{reply:?}");
    let mut claims = bound_claims(guests::OUTBOUND, &echo);
    claims.sha256 = None;
    let url = format!("http://{}/slot/echo?in=sent", echo.address);
    let reply = call(&host, &host.seal(&claims), "GET", &url, &[], "").await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    assert_only_in_its_header(&echo);
    assert_eq!(echo.seen().len(), 1);
}
