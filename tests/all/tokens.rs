//! Tokens at the door: what is refused, how it looks, and in which order it is checked.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use webtask_tests::{TestHost, claims_for, examples, guests, now, wait_for_line};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_401_and_says_what_is_required() {
    let host = TestHost::start().await;
    let reply = host
        .send(
            Request::get("/run")
                .body(Empty::<Bytes>::new())
                .expect("a request"),
        )
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "token-missing")
    );
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_headers_carry_a_token() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    let bearer = Request::get("/run").header("authorization", format!("Bearer {token}"));
    let reply = host
        .send(bearer.body(Empty::<Bytes>::new()).expect("a request"))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(host.get(&token, "").await.status, 200);
}

/// Trap 17: one answer for every unauthenticated cause; only the log has the cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_17_every_unauthenticated_cause_looks_the_same() {
    let (host, other) = (TestHost::start().await, TestHost::start().await);
    let token = host.token(examples::HELLO);
    let foreign = other.token(examples::HELLO);
    let mut bodies = std::collections::BTreeSet::new();
    let mut wrong = vec![
        "nonsense".to_owned(),
        token[..token.len() / 2].to_owned(),
        foreign,
        format!("{token}.AAAA"),
        token.replace("wt1.", "wt2."),
    ];
    // One character changed, at places all over the token.
    for at in (0..token.len()).step_by(7) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        wrong.push(String::from_utf8(bytes).expect("still text"));
    }
    for wrong in wrong {
        let reply = host.get(&wrong, "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "token-invalid"),
            "{wrong}"
        );
        bodies.insert(reply.text().replace(reply.request_id(), "ID"));
    }
    assert_eq!(bodies.len(), 1, "{bodies:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_and_not_yet_valid_have_codes_of_their_own() {
    let host = TestHost::start().await;
    let mut old = claims_for(examples::HELLO);
    (old.iat, old.exp) = (now() - 100, now() - 10);
    let reply = host.get(&host.seal(&old), "").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "token-expired")
    );
    let mut early = claims_for(examples::HELLO);
    early.nbf = Some(now() + 1_000);
    let reply = host.get(&host.seal(&early), "").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "token-not-yet-valid")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_stands_in_a_url_only_if_it_says_so() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::REFLECT);
    let reply =
        webtask_tests::get_path(host.address, &format!("/t/{}/hook", host.seal(&claims))).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (403, "denied")
    );
    wait_for_line(reply.request_id(), "--via path").await;
    claims.via.push(webtask_token::Carrier::Path);
    let token = host.seal(&claims);
    let reply = webtask_tests::get_path(host.address, &format!("/t/{token}/hook?x=1")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["path_and_query"], "/hook?x=1");
    assert_eq!(reply.headers["referrer-policy"], "no-referrer");
    assert!(!reply.text().contains(&token));
    assert_eq!(webtask_tests::lines_of(&token), Vec::<String>::new());
}

/// No permit, no load and no compilation is spent on the unauthenticated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_checked_before_a_place_is_taken() {
    let host = TestHost::builder()
        .limits(|limits| limits.invocations = 1)
        .start()
        .await;
    let park = host.token(guests::PARK);
    let holder = async {
        // The other caller may have the place at first.
        while webtask_tests::exchange(host.address, request(&park))
            .await
            .status()
            == 503
        {}
    };
    let refused = async {
        loop {
            // The holder may not have its place yet.
            let reply = host.get(&host.token(examples::HELLO), "").await;
            if reply.status == 503 {
                break reply;
            }
        }
    };
    let check = async {
        let full = refused.await;
        assert_eq!(full.code(), "overloaded");
        assert_eq!(full.headers["retry-after"], "1");
        let reply = host.get("wt1.x.y.z", "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "token-invalid")
        );
    };
    tokio::select! { () = holder => panic!("the parked guest answered"), () = check => {} }
}

fn request(token: &str) -> Request<Empty<Bytes>> {
    Request::get("/run")
        .header("host", "x")
        .header("webtask-token", token)
        .body(Empty::new())
        .expect("a request")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_route_is_404() {
    let host = TestHost::start().await;
    for path in ["/", "/running", "/healthz", "/run/../etc"] {
        let reply = webtask_tests::get_path(host.address, path).await;
        assert!(
            matches!(reply.code().as_str(), "not-found" | "token-missing"),
            "{path}: {reply:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_never_sees_its_token_wherever_else_it_stands() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::REFLECT);
    claims.via.push(webtask_token::Carrier::Path);
    let token = host.seal(&claims);
    let bearer = format!("Bearer\t{token}");
    let page = format!("https://example.com/t/{token}/page");
    for (path, fields) in [
        (
            "/run",
            vec![("webtask-token", &token), ("authorization", &bearer)],
        ),
        ("/run", vec![("webtask-token", &token), ("referer", &page)]),
        (
            "/run",
            vec![("authorization", &bearer), ("x-forwarded-uri", &page)],
        ),
        (
            &format!("/t/{token}/x"),
            vec![("authorization", &bearer), ("referer", &page)],
        ),
    ] {
        let mut request = Request::get(path);
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let reply = host.send(request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(!reply.text().contains("wt1."), "{}", reply.text());
    }
    // Two tokens in fields are refused, also where the token stands in the path.
    let twice = Request::get(format!("/t/{token}/x"))
        .header("webtask-token", &token)
        .header("webtask-token", &token);
    let reply = host
        .send(twice.body(Empty::<Bytes>::new()).expect("a request"))
        .await;
    assert_eq!(reply.code(), "token-invalid");
}

/// RFC 9112, section 3.2: one valid `host`, or 400.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_has_exactly_one_valid_host() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    for hosts in [vec!["a", "b"], vec!["user@a"], vec!["a b"]] {
        let mut request = Request::get("/run").header("webtask-token", &token);
        for name in &hosts {
            request = request.header("host", *name);
        }
        let reply = host
            .send(request.body(Empty::<Bytes>::new()).expect("a request"))
            .await;
        assert_eq!(reply.code(), "bad-request", "{hosts:?}");
    }
}
