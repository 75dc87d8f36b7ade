//! A hostile guest that knows all of this: the ways of `tests/guests/src/bin/thief/`.

use bytes::Bytes;
use http::Response;
use webtask_tests::{Origin, lines_of, wait_for_line};
use webtask_token::Claims;

use super::{
    Echo, VALUE, assert_only_in_its_header, betrayed, bound_claims, call, guests, loopback, secret,
};

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
    let host = loopback().await;
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

/// Trap 5: the header of a slot is the host's, and framing is nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_5_a_guest_sets_neither_the_slots_header_nor_the_frame() {
    let (echo, other) = (
        Echo::start().await,
        Origin::start(|_| Response::new(Bytes::new())).await,
    );
    let host = loopback().await;
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

/// What SECURITY.md says of readable secrets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_readable_secret_is_the_guests_to_give_away() {
    let echo = Echo::start().await;
    let other = Origin::start(|_| Response::new(Bytes::new())).await;
    let host = loopback().await;
    let mut claims = thief_claims(&echo, &other);
    claims
        .secrets
        .insert("key".into(), secret("readable-5QmT8r", &[]));
    let reply = host.get(&host.seal(&claims), "/?way=ask_by_name").await;
    assert!(reply.text().contains("readable-5QmT8r"), "{reply:?}");
    let kept = String::from_utf8_lossy(&other.seen()[0].body).into_owned();
    assert!(kept.contains("readable-5QmT8r"), "{kept}");
}
