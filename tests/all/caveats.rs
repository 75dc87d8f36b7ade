//! Narrower tokens, as the host sees them: method, path, time, origin, parameters, limits, grants, rate.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Empty;
use webtask_tests::{Origin, Reply, TestHost, claims_for, examples, guests, now};
use webtask_token::{Caveat, Limits, attenuate};

fn narrow(token: &str, caveat: Caveat) -> String {
    attenuate(token, &caveat).expect("a valid caveat")
}

async fn call(
    host: &TestHost,
    token: &str,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
) -> Reply {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/run{path}"))
        .header("webtask-token", token);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    host.send(request.body(Empty::<Bytes>::new()).expect("a request"))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_out_of_a_narrower_token_has_a_code_of_its_own() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    let narrower = narrow(
        &token,
        Caveat {
            methods: Some(vec!["GET".into()]),
            path: Some("/shop/*".into()),
            origins: Some(vec!["https://shop.example".into()]),
            exp: Some(now() + 600),
            ..Caveat::default()
        },
    );
    let shop = [("origin", "https://shop.example")];
    let good = call(&host, &narrower, Method::GET, "/shop/cart", &shop).await;
    assert_eq!(good.status, 200, "{good:?}");
    for (method, path, fields, code) in [
        (Method::POST, "/shop/cart", &shop[..], "method-denied"),
        (Method::GET, "/admin", &shop[..], "path-denied"),
        (Method::GET, "/shop/../admin", &shop[..], "path-denied"),
        (Method::GET, "/shop/%2e%2e/admin", &shop[..], "path-denied"),
        (
            Method::GET,
            "/shop/cart",
            &[("origin", "https://evil.example")][..],
            "origin-denied",
        ),
        (
            Method::GET,
            "/shop/cart",
            &[("origin", "null")][..],
            "origin-denied",
        ),
        (Method::GET, "/shop/cart", &[][..], "origin-denied"),
        (
            Method::GET,
            "/shop/cart",
            &[
                ("origin", "https://shop.example"),
                ("origin", "https://evil.example"),
            ][..],
            "origin-denied",
        ),
    ] {
        let reply = call(&host, &narrower, method.clone(), path, fields).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, code),
            "{method} {path} {fields:?}"
        );
    }
    let over = narrow(
        &token,
        Caveat {
            exp: Some(now() - 1),
            ..Caveat::default()
        },
    );
    assert_eq!(
        call(&host, &over, Method::GET, "", &[]).await.code(),
        "token-expired"
    );
    let early = narrow(
        &token,
        Caveat {
            nbf: Some(now() + 600),
            ..Caveat::default()
        },
    );
    assert_eq!(
        call(&host, &early, Method::GET, "", &[]).await.code(),
        "token-not-yet-valid"
    );
    // The wider token still does what it did.
    assert_eq!(
        call(&host, &token, Method::POST, "/admin", &[])
            .await
            .status,
        200
    );
}

/// A caveat taken off, moved or doubled is not authentic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_18_a_caveat_cannot_be_taken_off() {
    let host = TestHost::start().await;
    let token = host.token(examples::HELLO);
    let one = narrow(
        &token,
        Caveat {
            methods: Some(vec!["GET".into()]),
            ..Caveat::default()
        },
    );
    let two = narrow(
        &one,
        Caveat {
            path: Some("/a".into()),
            ..Caveat::default()
        },
    );
    let parts: Vec<&str> = two.split('.').collect();
    assert_eq!(parts.len(), 6, "{two}");
    for order in [
        vec![0, 1, 2, 5],
        vec![0, 1, 2, 3, 5],
        vec![0, 1, 2, 4, 5],
        vec![0, 1, 2, 4, 3, 5],
        vec![0, 1, 2, 3, 3, 4, 5],
    ] {
        let forged: Vec<&str> = order.iter().map(|part| parts[*part]).collect();
        let reply = call(&host, &forged.join("."), Method::GET, "/a", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "token-invalid"),
            "{order:?}"
        );
    }
    assert_eq!(call(&host, &two, Method::GET, "/a", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_added_and_never_changed() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::REFLECT);
    claims.params.insert("shop".into(), "7".into());
    let token = host.seal(&claims);
    let with = |name: &str, value: &str| Caveat {
        params: [(name.to_owned(), value.to_owned())].into(),
        ..Caveat::default()
    };
    let user = narrow(&token, with("user", "42"));
    let seen = call(&host, &user, Method::GET, "", &[]).await;
    assert!(
        seen.text().contains("\"user\":\"42\"") && seen.text().contains("\"shop\":\"7\""),
        "{}",
        seen.text()
    );
    // attenuate refuses a change that it can see; one of the sealed claims is seen by the host.
    assert!(attenuate(&user, &with("user", "43")).is_err());
    let forged = narrow(&token, with("shop", "8"));
    assert_eq!(
        call(&host, &forged, Method::GET, "", &[]).await.code(),
        "token-contradictory"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_grants_only_shrink() {
    let origin = Origin::start(|_| Response::new(Bytes::from_static(b"x"))).await;
    let host = TestHost::builder().loopback().start().await;
    let token =
        host.token_with_grants(guests::OUTBOUND, &[&format!("GET {}", origin.url("/v1/*"))]);
    let grants = |text: &[String]| {
        Some(
            text.iter()
                .map(|text| text.parse().expect("a grant"))
                .collect(),
        )
    };
    let asks = |path: &str| format!("/?method=GET&url={}", origin.url(path));
    for (out, path, reached) in [
        (vec![format!("GET {}", origin.url("/v1/a"))], "/v1/a", true),
        (vec![format!("GET {}", origin.url("/v1/a"))], "/v1/b", false),
        // A wider list widens nothing.
        (vec![format!("* {}", origin.url("/*"))], "/v2/a", false),
        (vec![], "/v1/a", false),
    ] {
        let narrower = narrow(
            &token,
            Caveat {
                out: grants(&out),
                ..Caveat::default()
            },
        );
        let reply = call(&host, &narrower, Method::GET, &asks(path), &[]).await;
        assert_eq!(
            reply.json()["status"] == 200,
            reached,
            "{out:?} {path}: {reply:?}"
        );
    }
    let lim = Limits {
        wall_ms: Some(200),
        ..Limits::default()
    };
    let park = narrow(
        &host.token(guests::PARK),
        Caveat {
            lim,
            ..Caveat::default()
        },
    );
    assert_eq!(
        call(&host, &park, Method::GET, "", &[]).await.code(),
        "guest-deadline"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_links_rate_counts_for_all_tokens_below_it() {
    let host = TestHost::start().await;
    let lim = Limits {
        rate: Some(3),
        ..Limits::default()
    };
    let parent = narrow(
        &host.token(examples::HELLO),
        Caveat {
            lim,
            ..Caveat::default()
        },
    );
    let children = ["a", "b"].map(|note| {
        narrow(
            &parent,
            Caveat {
                note: Some(note.into()),
                ..Caveat::default()
            },
        )
    });
    for token in [&parent, &children[0], &children[1]] {
        assert_eq!(call(&host, token, Method::GET, "", &[]).await.status, 200);
    }
    for token in [&parent, &children[0], &children[1]] {
        let reply = call(&host, token, Method::GET, "", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (429, "rate-limited")
        );
        assert_eq!(reply.json()["limit"], "rate");
        let seconds: u64 = reply.headers["retry-after"]
            .to_str()
            .expect("text")
            .parse()
            .expect("seconds");
        assert!((1..=21).contains(&seconds), "{seconds}");
    }
    // The token above has no such limit.
    assert_eq!(host.get(&host.token(examples::HELLO), "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_is_answered_by_the_host_without_a_token() {
    let host = TestHost::start().await;
    let request = Request::options("/run/cart")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "PUT")
        .header(
            "access-control-request-headers",
            "webtask-token,content-type",
        );
    let reply = host
        .send(request.body(Empty::<Bytes>::new()).expect("a request"))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.headers["webtask-source"], "host");
    assert_eq!(reply.headers["access-control-allow-origin"], "*");
    assert_eq!(reply.headers["access-control-allow-methods"], "PUT");
    assert_eq!(
        reply.headers["access-control-allow-headers"],
        "webtask-token,content-type"
    );
    assert!(
        !reply
            .headers
            .contains_key("access-control-allow-credentials")
    );
    // An OPTIONS that is no preflight is a request like any other.
    let plain = Request::options("/run")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    assert_eq!(host.send(plain).await.code(), "token-missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_name_the_origin_of_a_restricted_token_and_never_credentials() {
    let host = TestHost::start().await;
    let token = host.token(guests::HEADERS);
    let open = call(
        &host,
        &token,
        Method::GET,
        "",
        &[("origin", "https://any.example")],
    )
    .await;
    assert_eq!(open.headers["access-control-allow-origin"], "*");
    let only = Caveat {
        origins: Some(vec!["https://shop.example".into()]),
        ..Caveat::default()
    };
    let shop = call(
        &host,
        &narrow(&token, only),
        Method::GET,
        "",
        &[("origin", "https://shop.example")],
    )
    .await;
    assert_eq!(
        shop.headers["access-control-allow-origin"],
        "https://shop.example"
    );
    for reply in [&open, &shop] {
        // Whatever else the guest said of it is dropped.
        for name in ["origin", "credentials", "methods", "headers"] {
            let said = reply
                .headers
                .get_all(format!("access-control-allow-{name}"));
            let own = usize::from(name == "origin");
            assert_eq!(said.iter().count(), own, "{name}: {reply:?}");
        }
        assert!(!reply.headers.contains_key("access-control-max-age"));
        assert_eq!(reply.headers["set-cookie"], "a=b", "the guest's own");
        let vary: Vec<_> = reply
            .headers
            .get_all("vary")
            .iter()
            .map(|vary| vary.as_bytes().to_ascii_lowercase())
            .collect();
        assert!(vary.contains(&b"origin".to_vec()), "{reply:?}");
    }
    // A page may read why it was refused.
    let refused = call(
        &host,
        "wt1.x.y.z",
        Method::GET,
        "",
        &[("origin", "https://any.example")],
    )
    .await;
    assert_eq!(refused.headers["access-control-allow-origin"], "*");
}
