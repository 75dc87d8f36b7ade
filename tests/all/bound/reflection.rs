//! Origins that send the secret back, or elsewhere.

use super::{
    Echo, VALUE, assert_only_in_its_header, betrayed, bound_claims, call, guests, loopback, secret,
};
use webtask_tests::{Raw, Then, claims_for, lines_of, wait_for_line};

/// Trap 1: echoed in the body at every border, in a field, in an error page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_1_a_reflected_secret_never_reaches_the_guest() {
    let echo = Echo::start().await;
    let host = loopback().await;
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
    for form in [
        "unicode",
        "backslash",
        "entities",
        "quoted-printable",
        "twice",
        "lines",
    ] {
        let asked = format!("in=body&form={form}&cut=7");
        let reply = call(&host, &token, "GET", &url(&asked), &[], "").await;
        assert_eq!(reply.json()["broken"], true, "{form}: {reply:?}");
        wait_for_line(reply.request_id(), "bound secret key back").await;
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
    let host = loopback().await;
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

/// Its end may be where it broke off, so no search can tell that the secret does not follow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_with_its_connection_is_refused() {
    let host = loopback().await;
    for (head, refused) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\ncontent-length: 8\r\n\r\n", false),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n",
            false,
        ),
    ] {
        let origin = Raw::start(format!("{head}harmless"), Then::Close).await;
        let mut claims = claims_for(guests::OUTBOUND);
        claims.out = vec![format!("* {}*", origin.url).parse().expect("a grant")];
        let slot = format!("GET {}slot/* authorization: Bearer {{}}", origin.url);
        claims.secrets.insert("key".into(), secret(VALUE, &[&slot]));
        // With the secret, and without it where it may come after all.
        for path in ["slot/x", "other"] {
            let url = format!("{}{path}", origin.url);
            let reply = call(&host, &host.seal(&claims), "GET", &url, &[], "").await;
            if refused {
                assert_eq!(
                    reply.json()["code"],
                    "HTTP-response-content-coding",
                    "{head}: {reply:?}"
                );
                wait_for_line(reply.request_id(), "reason=unsearchable").await;
            } else {
                assert_eq!(reply.json()["body"], "harmless", "{head}: {reply:?}");
            }
        }
    }
}

/// The guest has used up what the log tells of denials, and this is told all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_secret_is_told_after_any_number_of_denials() {
    let echo = Echo::start().await;
    let host = loopback().await;
    let token = host.seal(&bound_claims(guests::DENIALS, &echo));
    let path = format!("/?n=40&url=http://{}/slot/echo?in=header", echo.address);
    let reply = host.get(&token, &path).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    wait_for_line(reply.request_id(), "is not logged").await;
    wait_for_line(reply.request_id(), "reason=secret-returned").await;
}
