//! Bound secrets: the host sends them, to where the token says, and nobody reads them.

mod echo;

use bytes::Bytes;
use echo::{Echo, base64};
use http::{Request, Response};
use http_body_util::Full;
use webtask_tests::{Origin, Reply, TestHost, claims_for, lines_of, wait_for_line};
use webtask_token::{Caveat, Claims, Secret, SecretClaim, attenuate};

use super::built::guests;

/// No four characters of it stand in anything by chance.
const VALUE: &str = "q7Zt-X9vK2mW4+L8pY.D6bN&HsJ1";

fn secret(value: &str, slots: &[&str]) -> SecretClaim {
    SecretClaim {
        value: Secret::new(value.to_owned()),
        slots: slots
            .iter()
            .map(|slot| slot.parse().expect("a slot"))
            .collect(),
    }
}

/// `key`, bound to `authorization` below `/slot/` of the echo, with a grant for all of it.
fn bound_claims(wasm: &str, echo: &Echo) -> Claims {
    let mut claims = claims_for(wasm);
    let at = echo.address;
    let slots = ["GET", "POST"]
        .map(|method| format!("{method} http://{at}/slot/* authorization: Bearer {{}}"));
    claims.secrets.insert(
        "key".into(),
        secret(VALUE, &slots.each_ref().map(String::as_str)),
    );
    claims.out = vec![format!("* http://{at}/*").parse().expect("a grant")];
    claims
}

/// A call through the guest `outbound`, with fields as `name: value`.
async fn call(
    host: &TestHost,
    token: &str,
    method: &str,
    url: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Reply {
    let uri = format!("/run?method={method}&url={url}");
    let mut request = Request::post(uri).header("webtask-token", token);
    for (name, value) in fields {
        request = request.header(format!("x-send-{name}"), *value);
    }
    let body = Full::new(Bytes::from(body.to_owned()));
    host.send(request.body(body).expect("a request")).await
}

/// A part of the value, in any form that the echo knows, that stands in `bytes`.
fn betrayed(bytes: &[u8]) -> Option<String> {
    let turned: String = VALUE
        .chars()
        .map(|c| match c {
            'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
            'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
            other => other,
        })
        .collect();
    let spread =
        |text: &str, each: fn(u8) -> Vec<u8>| text.bytes().flat_map(each).collect::<Vec<u8>>();
    let mut forms = vec![
        (VALUE.as_bytes().to_vec(), 4),
        (turned.into_bytes(), 4),
        (spread(VALUE, |byte| format!("{byte:02x}").into_bytes()), 10),
        (
            spread(VALUE, |byte| format!("%{byte:02x}").into_bytes()),
            12,
        ),
        (spread(VALUE, |byte| vec![0, byte]), 8),
    ];
    for before in ["", "a", "aa"] {
        for last in [b"+/", b"-_"] {
            let text = base64(format!("{before}{VALUE}").as_bytes(), last);
            forms.push((text.as_bytes()[4..36].to_vec(), 7));
        }
    }
    let bytes = bytes.to_ascii_lowercase();
    forms.iter().find_map(|(form, size)| {
        let form = form.to_ascii_lowercase();
        let mut parts = form.windows(*size);
        let part = parts.find(|part| bytes.windows(*size).any(|window| window == *part))?;
        Some(String::from_utf8_lossy(part).into_owned())
    })
}

#[test]
fn what_betrays_is_seen() {
    for said in [
        VALUE.to_owned(),
        VALUE.to_uppercase(),
        VALUE[7..12].to_owned(),
        base64(format!("x{VALUE}").as_bytes(), b"+/"),
    ] {
        assert!(betrayed(said.as_bytes()).is_some(), "{said}");
    }
    assert_eq!(betrayed(b"authorization: Bearer {} key 127.0.0.1"), None);
}

/// The value reached the origin in the one header of its slot, and nowhere else in any request.
fn assert_only_in_its_header(echo: &Echo) {
    for wire in echo.seen() {
        let slot = wire.path().starts_with("/slot/")
            && (wire.head.starts_with("GET ") || wire.head.starts_with("POST "));
        let sent = format!("Bearer {VALUE}");
        let expected = if slot { vec![sent.as_str()] } else { vec![] };
        assert_eq!(wire.fields("authorization"), expected, "{wire:?}");
        assert_eq!(wire.head.matches(VALUE).count(), expected.len(), "{wire:?}");
        assert_eq!(betrayed(&wire.body), None, "{wire:?}");
    }
}

/// Trap 1: echoed in the body at every border, in a field, in an error page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_1_a_reflected_secret_never_reaches_the_guest() {
    let echo = Echo::start().await;
    let host = TestHost::builder().loopback().start().await;
    let token = host.seal(&bound_claims(guests::OUTBOUND, &echo));
    let url = |asked: &str| format!("http://{}/slot/echo?{asked}", echo.address);
    for cut in 1..=VALUE.len() + 20 {
        let reply = call(
            &host,
            &token,
            "GET",
            &url(&format!("in=body&cut={cut}")),
            &[],
            "",
        )
        .await;
        assert_eq!(reply.json()["broken"], true, "{cut}: {reply:?}");
        assert_eq!(betrayed(&reply.body), None, "{reply:?}");
        if cut == 1 {
            let line = wait_for_line(reply.request_id(), "outbound response cut").await;
            assert!(
                line.contains("bound secret key") && line.contains(&echo.address.to_string()),
                "{line}"
            );
        }
    }
    for asked in ["in=header", "in=cookie", "in=location", "in=name"] {
        let reply = call(&host, &token, "GET", &url(asked), &[], "").await;
        assert_eq!(
            reply.json()["code"],
            "HTTP-response-incomplete",
            "{asked}: {reply:?}"
        );
        wait_for_line(reply.request_id(), "bound secret key back").await;
    }
    let page = call(&host, &token, "GET", &url("in=body&status=401"), &[], "").await;
    assert_eq!(
        (&page.json()["status"], &page.json()["broken"]),
        (&401.into(), &true.into()),
        "{page:?}"
    );
    // What the guest says in other fields, in the path and in the query comes back as it said it.
    let fields = [
        ("user-agent", "{key}"),
        ("origin", "https://{}"),
        ("referer", "$key"),
    ];
    let reply = call(
        &host,
        &token,
        "POST",
        &url("in=sent&{}=$key"),
        &fields,
        "Bearer {}",
    )
    .await;
    let body = reply.json()["body"].as_str().expect("a body").to_owned();
    for sent in [
        "Bearer {}",
        "{key}",
        "https://{}",
        "$key",
        "in=sent&{}=$key",
    ] {
        assert!(body.contains(sent), "{sent}: {body}");
    }
    assert_only_in_its_header(&echo);
    assert_eq!(lines_of(VALUE), Vec::<String>::new());
}

/// Trap 2: the guest follows by itself, and each of its requests is looked at anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_a_redirect_carries_no_bound_secret() {
    let (echo, elsewhere) = (Echo::start().await, Echo::start().await);
    let host = TestHost::builder().loopback().start().await;
    let mut claims = bound_claims(guests::OUTBOUND, &echo);
    claims.out.push(
        format!("* http://{}/*", elsewhere.address)
            .parse()
            .expect("a grant"),
    );
    let token = host.seal(&claims);
    let (here, there) = (echo.address, elsewhere.address);
    for to in [
        format!("http://{there}/slot/echo"),
        format!("http://127.0.0.2:{}/slot/echo", here.port()),
        format!("https://{here}/slot/echo"),
        format!("http://{here}/echo?in=sent"),
    ] {
        let asked = format!("http://{here}/slot/echo?to={to}");
        let reply = call(&host, &token, "GET", &asked, &[], "").await;
        assert_eq!(
            (&reply.json()["status"], &reply.json()["location"]),
            (&307.into(), &to.as_str().into()),
            "{reply:?}"
        );
        let next = call(&host, &token, "GET", &to, &[], "").await;
        assert_eq!(betrayed(&next.body), None, "{next:?}");
    }
    assert_eq!(elsewhere.seen().len(), 1);
    assert_eq!(
        elsewhere.seen()[0].fields("authorization"),
        Vec::<&str>::new()
    );
    assert_only_in_its_header(&echo);
}

/// Trap 5: the header of a slot is the host's, and framing is nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_5_a_guest_sets_neither_the_slots_header_nor_the_frame() {
    let (echo, other) = (
        Echo::start().await,
        Origin::start(|_| Response::new(Bytes::new())).await,
    );
    let host = TestHost::builder().loopback().start().await;
    let mut claims = bound_claims(guests::OUTBOUND, &echo);
    let cookie = format!("GET http://{}/slot/echo cookie: session={{}}", echo.address);
    claims
        .secrets
        .insert("cookie".into(), secret("another-value", &[&cookie]));
    let token = host.seal(&claims);
    let url = format!("http://{}/slot/echo?in=sent", echo.address);
    for (method, name) in [
        ("GET", "authorization"),
        ("POST", "AuthoriZation"),
        ("GET", "cookie"),
    ] {
        let reply = call(&host, &token, method, &url, &[(name, "mine")], "").await;
        assert_eq!(reply.json()["error"], "denied", "{name}: {reply:?}");
        wait_for_line(reply.request_id(), "do not set it").await;
    }
    for name in [
        "host",
        "forwarded",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
    ] {
        let reply = call(&host, &token, "GET", &url, &[(name, "x")], "").await;
        assert!(reply.json()["error"].is_string(), "{name}: {reply:?}");
    }
    assert!(echo.seen().is_empty(), "{:?}", echo.seen());
    // What no slot of this request sets, the guest may.
    let reply = call(&host, &token, "POST", &url, &[("cookie", "mine")], "x").await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    let free = format!("http://{}/free", echo.address);
    let reply = call(
        &host,
        &token,
        "GET",
        &free,
        &[("authorization", "mine")],
        "",
    )
    .await;
    assert_eq!(reply.json()["status"], 200, "{reply:?}");
    assert_eq!(echo.seen()[1].fields("authorization"), ["mine"]);

    // The same, by hand: odd case, twice, as trailers, conflicting lengths, a request in the body.
    let token = host.seal(&thief_claims(&echo, &other));
    for way in [
        "set_the_header_too",
        "set_it_as_trailer",
        "smuggle_a_request",
        "name_it_a_hop",
    ] {
        let before = echo.seen().len();
        let reply = host.get(&token, &format!("/?way={way}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        for wire in &echo.seen()[before..] {
            assert_eq!(
                wire.fields("authorization"),
                [format!("Bearer {VALUE}")],
                "{way}: {wire:?}"
            );
            assert_eq!(wire.fields("host").len(), 1, "{way}: {wire:?}");
            let framed =
                wire.fields("content-length").len() + wire.fields("transfer-encoding").len();
            assert!(framed <= 1, "{way}: {wire:?}");
            assert!(
                wire.path() != "/slot/echo?in=body" || way == "name_it_a_hop",
                "{way}: {wire:?}"
            );
        }
        if way == "set_it_as_trailer" {
            assert!(reply.text().contains("HttpRequestDenied"), "{reply:?}");
            wait_for_line(reply.request_id(), "do not set it").await;
        }
    }
}

/// Any number of slots: each its header, and no request else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_fill_the_requests_that_they_match_and_no_others() {
    let echo = Echo::start().await;
    let host = TestHost::builder().loopback().start().await;
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
    let host = TestHost::builder().loopback().start().await;
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
    let host = TestHost::builder().loopback().start().await;
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
    ];
    let reply = call(&host, &host.seal(&claims), "GET", &url, &fields, "").await;
    assert_eq!(
        (&reply.json()["status"], &reply.json()["body"]),
        (&206.into(), &"you s".into()),
        "{reply:?}"
    );
    assert_eq!(other.seen()[0].fields("accept-encoding"), ["gzip"]);
}

/// Whatever the code is: it uses the secret, and does not read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpinned_token_keeps_its_bound_secret() {
    let echo = Echo::start().await;
    let host = TestHost::builder().loopback().start().await;
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

/// In the order of `tests/guests/src/bin/thief/main.rs`.
const WAYS: [&str; 50] = [
    "ask_by_name",
    "ask_in_other_words",
    "ask_for_names",
    "read_environment",
    "read_arguments",
    "read_parameters",
    "read_files",
    "read_own_memory",
    "read_own_request",
    "reflect_in_body",
    "reflect_in_header",
    "reflect_in_header_name",
    "reflect_in_cookie",
    "reflect_in_location",
    "reflect_in_trailer",
    "reflect_in_error_page",
    "reflect_in_pieces",
    "reflect_base64",
    "reflect_base64url",
    "reflect_hex",
    "reflect_percent",
    "reflect_json",
    "reflect_html",
    "reflect_utf16",
    "reflect_gzip",
    "forced_gzip",
    "reflect_range",
    "forced_part",
    "reflect_as_early_hint",
    "reflect_as_upgrade",
    "read_byte_by_byte",
    "read_until_a_stall",
    "read_until_a_break",
    "reflect_later",
    "reflect_later_elsewhere",
    "guess_by_what_is_held_back",
    "placeholder_in_body",
    "placeholder_in_header",
    "placeholder_in_path",
    "other_host",
    "other_path",
    "other_method",
    "tricks_with_the_path",
    "tricks_with_the_host",
    "follow_a_redirect",
    "set_the_header_too",
    "set_it_as_trailer",
    "smuggle_a_request",
    "name_it_a_hop",
    "tell_the_log",
];

fn thief_claims(echo: &Echo, other: &Origin) -> Claims {
    let mut claims = bound_claims(guests::THIEF, echo);
    claims
        .out
        .push(format!("* {}", other.url("/*")).parse().expect("a grant"));
    for (name, address) in [("target", echo.address), ("other", other.address)] {
        claims.params.insert(name.into(), address.to_string());
    }
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_ways_to_a_bound_secret_all_fail() {
    let echo = Echo::start().await;
    let other = Origin::start(|_| Response::new(Bytes::from_static(b"kept"))).await;
    let host = TestHost::builder().loopback().start().await;
    let token = host.seal(&thief_claims(&echo, &other));
    let listed = host.get(&token, "/ways").await;
    assert_eq!(listed.text().lines().collect::<Vec<_>>(), WAYS);
    for way in WAYS {
        let reply = host.get(&token, &format!("/?way={way}")).await;
        assert_eq!(reply.status, 200, "{way}: {reply:?}");
        assert!(reply.whole && !reply.body.is_empty(), "{way}: {reply:?}");
        let got = [format!("{:?}", reply.headers).as_bytes(), &reply.body].concat();
        assert_eq!(
            betrayed(&got),
            None,
            "{way}: {}",
            String::from_utf8_lossy(&got)
        );
        let unseen = ["reflect_as_early_hint", "reflect_as_upgrade"];
        if way.starts_with("reflect_") && !unseen.contains(&way) {
            // The echo did its part: the host saw the secret come back.
            wait_for_line(reply.request_id(), "sent the bound secret key back").await;
        }
        if way.starts_with("forced_") {
            wait_for_line(reply.request_id(), "cannot be searched").await;
        }
        if way == "guess_by_what_is_held_back" {
            // To the end of its guesses: lines pass at once, and none stands out.
            assert_eq!(reply.text(), "the secret begins with ", "{reply:?}");
        }
        wait_for_line(reply.request_id(), "webtask::access").await;
        let lines = lines_of(reply.request_id()).concat();
        assert_eq!(betrayed(lines.as_bytes()), None, "{way}: {lines}");
    }
    assert!(echo.seen().len() > 100, "{}", echo.seen().len());
    assert_only_in_its_header(&echo);
    let kept = other.seen();
    assert!(kept.len() > 5, "{kept:?}");
    for seen in kept {
        let all = [
            format!("{} {} {:?}", seen.method, seen.path, seen.headers).as_bytes(),
            &seen.body,
        ]
        .concat();
        assert_eq!(betrayed(&all), None, "{seen:?}");
    }
    assert_eq!(lines_of(VALUE), Vec::<String>::new());
}

/// What SECURITY.md says of readable secrets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_readable_secret_is_the_guests_to_give_away() {
    let echo = Echo::start().await;
    let other = Origin::start(|_| Response::new(Bytes::new())).await;
    let host = TestHost::builder().loopback().start().await;
    let mut claims = thief_claims(&echo, &other);
    claims
        .secrets
        .insert("key".into(), secret("readable-5QmT8r", &[]));
    let reply = host.get(&host.seal(&claims), "/?way=ask_by_name").await;
    assert!(reply.text().contains("readable-5QmT8r"), "{reply:?}");
    let kept = String::from_utf8_lossy(&other.seen()[0].body).into_owned();
    assert!(kept.contains("readable-5QmT8r"), "{kept}");
}

/// Trap 8: the names are in the author's log, and neither a name nor a value is in the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_8_a_missing_secret_fails_before_the_component_runs() {
    let host = TestHost::start().await;
    for (held, missing) in [
        (vec![], "does not hold: other.key, stripe-key;"),
        (
            vec![("stripe-key", "v4lue-one")],
            "does not hold: other.key;",
        ),
        (
            vec![("other.key", "v4lue-two"), ("more", "v4lue-three")],
            "does not hold: stripe-key;",
        ),
    ] {
        let reply = host
            .get(&host.token_with_secrets(guests::NEEDS, &held), "/")
            .await;
        assert_eq!(reply.code(), "secret-missing", "{reply:?}");
        assert_eq!(reply.status, 403);
        assert!(
            !reply.text().contains("key") && !reply.text().contains("v4lue"),
            "{reply:?}"
        );
        wait_for_line(reply.request_id(), missing).await;
        // No byte of a memory: no instance was made.
        wait_for_line(reply.request_id(), " memory=0 ").await;
    }
    assert_eq!(webtask_tests::lines_of("v4lue-"), Vec::<String>::new());
    let both = [("stripe-key", "v4lue-one"), ("other.key", "v4lue-two")];
    let reply = host
        .get(&host.token_with_secrets(guests::NEEDS, &both), "/")
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (200, "other.key,stripe-key")
    );
}

/// A component whose list of needs cannot be read does not run as if it needed nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn needs_that_cannot_be_read_are_no_component() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("bad.wasm");
    let mut code = std::fs::read(guests::NEEDS).expect("the guest is built");
    code.extend(b"\0\x16\x0fwebtask:secretsa b\nc\n");
    std::fs::write(&path, code).expect("a file");
    let path = path.to_str().expect("text");
    let host = TestHost::builder()
        .code(place.path().to_str().expect("text"))
        .start()
        .await;
    let reply = host.get(&host.seal(&claims_for(path)), "/").await;
    assert_eq!(reply.code(), "component-invalid", "{reply:?}");
    wait_for_line(reply.request_id(), "webtask:secrets has a name").await;
}
