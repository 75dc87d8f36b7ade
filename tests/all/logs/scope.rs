//! Who reads what, and until when.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use webtask_tests::{SOON, TestHost, claims_for, guests, now, wait_for_line};
use webtask_token::{Caveat, attenuate};

use super::{called, issuer, mint, narrowed, requests, token_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_reads_its_own_lines_and_those_of_what_was_made_from_it() {
    let host = TestHost::builder()
        .tenants("read-logs = 'tokens'\n")
        .start()
        .await;
    let root = host.token(guests::LOGGER);
    let (child, other) = (narrowed(&root), host.token(guests::STDOUT));
    let grandchild = attenuate(
        &child,
        &Caveat {
            note: Some("n".into()),
            ..Caveat::default()
        },
    );
    let grandchild = grandchild.expect("valid");
    let mut ids = Vec::new();
    for token in [&root, &child, &grandchild, &other] {
        ids.push(called(&host, token).await);
    }
    assert_eq!(requests(&host, &root).await, ids[..3]);
    assert_eq!(requests(&host, &child).await, ids[1..3]);
    assert_eq!(requests(&host, &grandchild).await, ids[2..3]);
    assert_eq!(requests(&host, &other).await, ids[3..]);
    // What a token of the same tenant reads as it happens is its own as well.
    let mut live = host.live(&child, "").await;
    live.until(|event| event.data["request_id"] == ids[2].as_str() && event.name == "invocation")
        .await;
    called(&host, &root).await;
    called(&host, &other).await;
    let own = called(&host, &child).await;
    let events = live.until(|event| event.name == "invocation").await;
    assert!(
        events
            .iter()
            .all(|event| event.data["request_id"] == own.as_str()),
        "{events:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_reads_its_tenant_and_no_other() {
    let host = TestHost::start().await;
    let (acme, rival) = (issuer(&host, "acme"), issuer(&host, "rival"));
    let minted = mint(&host, &acme, guests::LOGGER).await;
    let theirs = mint(&host, &rival, guests::LOGGER).await;
    let operators = token_of(&host, guests::LOGGER, "acme");
    let small = narrowed(&acme);
    let by_small = mint(&host, &small, guests::LOGGER).await;
    let mut ids = Vec::new();
    for token in [&minted, &theirs, &operators, &by_small] {
        ids.push(called(&host, token).await);
    }
    let of_acme = [ids[0].clone(), ids[2].clone(), ids[3].clone()];
    assert_eq!(requests(&host, &acme).await, of_acme);
    assert_eq!(requests(&host, &rival).await, ids[1..2]);
    // One that was narrowed reads what was minted with it.
    assert_eq!(requests(&host, &small).await, ids[3..]);
    // The tenant of those who have none is no tenant of an issuer's.
    let nobodys = issuer(&host, "default");
    let minted = mint(&host, &nobodys, guests::LOGGER).await;
    called(&host, &host.token(guests::LOGGER)).await;
    let own = called(&host, &minted).await;
    assert_eq!(requests(&host, &nobodys).await, [own]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_on_reads_no_log_unless_the_operator_says_so() {
    let host = TestHost::start().await;
    let whole = host.token(guests::LOGGER);
    let minted = mint(&host, &issuer(&host, "acme"), guests::LOGGER).await;
    let mut claims = claims_for(guests::LOGGER);
    claims.via.push(webtask_token::Carrier::Path);
    let in_urls = host.seal(&claims);
    called(&host, &whole).await;
    assert_eq!(requests(&host, &whole).await.len(), 1);
    for (token, because) in [
        (narrowed(&whole), "narrowed"),
        (minted.clone(), "minted"),
        (in_urls, "URL"),
    ] {
        let reply = host.unread(&token, "", &[]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "denied")
        );
        wait_for_line(reply.request_id(), because).await;
    }
    // What the operator says for all, and what for one tenant, which never gets more.
    for (said, table, [whole, narrower, issues]) in [
        ("nobody", "", [false, false, false]),
        ("issuers", "", [false, false, true]),
        ("whole-tokens", "", [true, false, true]),
        ("tokens", "", [true, true, true]),
        ("tokens", "issuers", [false, false, true]),
        ("issuers", "tokens", [false, false, true]),
    ] {
        let mut toml = format!("read-logs = '{said}'\n");
        if !table.is_empty() {
            toml.push_str(&format!("[tenants.acme]\nread-logs = '{table}'\n"));
        }
        let host = TestHost::builder().tenants(&toml).start().await;
        let token = token_of(&host, guests::LOGGER, "acme");
        for (token, reads) in [
            (token.clone(), whole),
            (narrowed(&token), narrower),
            (issuer(&host, "acme"), issues),
        ] {
            let reply = host.unread(&token, "follow=false", &[]).await;
            assert_eq!(reply.status == 200, reads, "{toml}: {reply:?}");
            assert!(reads || reply.code() == "denied");
        }
    }
    let refusing = TestHost::builder()
        .tenants("unknown-tenants = 'refuse'\n")
        .start()
        .await;
    let reply = refusing
        .unread(&refusing.token(guests::LOGGER), "", &[])
        .await;
    assert_eq!(reply.code(), "denied");
}

/// A page that may not use a token does not read with it either, and one that may reads alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_log_is_for_the_origins_of_its_token() {
    let host = TestHost::builder()
        .tenants("read-logs = 'tokens'\n")
        .start()
        .await;
    let caveat = Caveat {
        origins: Some(vec!["https://shop.example".into()]),
        ..Caveat::default()
    };
    let token = attenuate(&host.token(guests::LOGGER), &caveat).expect("valid");
    for origin in [&[][..], &[("origin", "https://evil.example")]] {
        assert_eq!(
            host.unread(&token, "", origin).await.code(),
            "origin-denied"
        );
    }
    let live = host
        .live_with(&token, "", &[("origin", "https://shop.example")])
        .await;
    assert_eq!(
        live.headers["access-control-allow-origin"],
        "https://shop.example"
    );
    let preflight = Request::options("/v1/logs")
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "GET")
        .header(
            "access-control-request-headers",
            "authorization,last-event-id",
        )
        .body(Empty::<Bytes>::new());
    let reply = host.send(preflight.expect("a request")).await;
    assert_eq!(
        reply.headers["access-control-allow-headers"],
        "authorization,last-event-id"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_or_expired_token_reads_no_more() {
    let host = TestHost::start().await;
    let token = host.token(guests::LOGGER);
    let mut live = host.live(&token, "").await;
    called(&host, &token).await;
    live.until(|event| event.name == "invocation").await;
    let revoke = Request::post("/v1/revoke")
        .header("authorization", format!("Bearer {token}"))
        .body(Empty::<Bytes>::new());
    assert_eq!(host.send(revoke.expect("a request")).await.status, 200);
    let rest = live.rest().await;
    assert_eq!(rest.len(), 1, "{rest:#?}");
    assert_eq!(
        (rest[0].name.as_str(), &rest[0].data["code"]),
        ("end", &"token-revoked".into())
    );
    assert_eq!(host.unread(&token, "", &[]).await.code(), "token-revoked");

    let mut claims = claims_for(guests::LOGGER);
    claims.exp = now() + 3;
    let rest = host.live(&host.seal(&claims), "").await.rest().await;
    assert_eq!(rest[0].data["code"], "token-expired", "{rest:#?}");
    assert!(now() <= claims.exp + SOON.as_secs());

    // Its key is gone from the keyring.
    let live = host.live(&host.token(guests::LOGGER), "").await;
    host.replace_keyring(webtask_token::Keyring::generate(None));
    assert_eq!(live.rest().await[0].data["code"], "token-invalid");
}
