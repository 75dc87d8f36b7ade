//! Issuer tokens, revocation and keys, through the running host.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};
use serde_json::{Value, json};
use webtask_tests::{Reply, TestHost, claims_for, examples, guests, now, wait_for_line};
use webtask_token::{Caveat, Ceiling, Claims, Keyring, Kind, attenuate};

async fn post(host: &TestHost, path: &str, token: &str, body: &Value) -> Reply {
    let request = Request::post(path)
        .header("authorization", format!("Bearer {token}"))
        .body(Full::new(Bytes::from(body.to_string())));
    host.send(request.expect("a request")).await
}

/// An issuer token of `tenant` for the examples, an hour at most.
fn issuer(host: &TestHost, tenant: &str) -> String {
    let hello = claims_for(examples::HELLO);
    let directory = hello.url.rsplit_once('/').expect("a path").0;
    let mut ceiling = Ceiling::new(vec![format!("{directory}/*")], 3_600);
    ceiling.out = vec!["GET https://api.example.com/v1/*".parse().expect("a grant")];
    ceiling.lim.memory = Some(16 << 20);
    ceiling.params = vec!["user".into()];
    let mut claims = Claims::new("", now());
    claims.tenant = tenant.into();
    claims.kind = Kind::Issue(Box::new(ceiling));
    host.seal(&claims)
}

fn wanted(wasm: &str) -> serde_json::Map<String, Value> {
    let claims = claims_for(wasm);
    let digest: String = claims
        .sha256
        .expect("pinned")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({ "url": claims.url, "sha256": digest, "expires": 600 })
        .as_object()
        .expect("an object")
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_mints_below_its_ceiling_and_the_token_runs() {
    let host = TestHost::start().await;
    let issuer = issuer(&host, "acme");
    let mut asked = wanted(guests::REFLECT);
    asked.insert("params".into(), json!({ "user": "42" }));
    let minted = post(&host, "/v1/tokens", &issuer, &asked.into()).await;
    assert_eq!(minted.status, 200, "{minted:?}");
    let token = minted.json()["token"].as_str().expect("a token").to_owned();
    let seen = host.get(&token, "").await;
    assert_eq!(
        (&seen.json()["tenant"], &seen.json()["token_id"]),
        (&"acme".into(), &minted.json()["id"])
    );
    assert!(seen.text().contains("\"user\":\"42\""), "{}", seen.text());
    assert!(minted.json()["expires"].as_u64().expect("seconds") <= now() + 600);
    // The issuer token itself never runs, and a run token never mints.
    assert_eq!(host.get(&issuer, "").await.code(), "denied");
    assert_eq!(
        post(&host, "/v1/tokens", &token, &wanted(guests::REFLECT).into())
            .await
            .code(),
        "denied"
    );
    assert_eq!(webtask_tests::lines_of(&token), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_wide_is_listed_and_not_minted() {
    let host = TestHost::start().await;
    let issuer = issuer(&host, "acme");
    let too_wide: BTreeMap<&str, Value> = [
        ("url", json!("https://elsewhere.example/x.wasm")),
        ("expires", json!(7_200)),
        ("allow", json!(["GET https://evil.example/*"])),
        ("params", json!({ "admin": "yes" })),
        ("secrets", json!({ "key": "value" })),
        ("limits", json!({ "memory": "64MiB" })),
        ("via", json!(["path"])),
    ]
    .into();
    for (field, value) in &too_wide {
        let mut asked = wanted(examples::HELLO);
        asked.insert((*field).to_owned(), value.clone());
        let reply = post(&host, "/v1/tokens", &issuer, &asked.into()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "too-wide"),
            "{field}"
        );
        assert_eq!(
            reply.json()["errors"].as_array().map(Vec::len),
            Some(1),
            "{field}: {reply:?}"
        );
    }
    let mut all = wanted(examples::HELLO);
    all.extend(
        too_wide
            .iter()
            .map(|(field, value)| ((*field).to_owned(), value.clone())),
    );
    let reply = post(&host, "/v1/tokens", &issuer, &all.into()).await;
    assert_eq!(
        reply.json()["errors"].as_array().map(Vec::len),
        Some(too_wide.len()),
        "{reply:?}"
    );
    for (body, code) in [
        (json!({}), "bad-request"),
        (json!({ "url": 1 }), "bad-request"),
        (json!({ "unknown": 1 }), "bad-request"),
    ] {
        assert_eq!(
            post(&host, "/v1/tokens", &issuer, &body).await.code(),
            code,
            "{body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_link_takes_all_that_is_derived_and_nothing_else() {
    let host = TestHost::start().await;
    let root = host.token(examples::HELLO);
    let child = |note: &str, of: &str| {
        attenuate(
            of,
            &Caveat {
                note: Some(note.into()),
                ..Caveat::default()
            },
        )
        .expect("valid")
    };
    let (a, b) = (child("a", &root), child("b", &root));
    let below = child("below", &a);
    assert_eq!(post(&host, "/v1/revoke", &a, &json!({})).await.status, 200);
    for (token, works) in [(&root, true), (&a, false), (&b, true), (&below, false)] {
        let reply = host.get(token, "").await;
        assert_eq!(reply.status == 200, works, "{reply:?}");
        if !works {
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (401, "token-revoked")
            );
        }
    }
    // Who made a narrower token revokes it, and nobody else does.
    let again = child("again", &b);
    let body = json!({ "token": again });
    assert_eq!(
        post(&host, "/v1/revoke", &host.token(examples::HELLO), &body)
            .await
            .code(),
        "denied"
    );
    assert_eq!(host.get(&again, "").await.status, 200);
    assert_eq!(post(&host, "/v1/revoke", &b, &body).await.status, 200);
    assert_eq!(host.get(&again, "").await.code(), "token-revoked");
    assert_eq!(host.get(&b, "").await.status, 200);
    // A token cannot revoke what it does not hold: its parent, say, by the id or the text.
    assert_eq!(
        post(&host, "/v1/revoke", &b, &json!({ "token": root }))
            .await
            .code(),
        "denied"
    );
    let parent = host.get(&host.token(guests::REFLECT), "").await.json()["token_id"].clone();
    assert_eq!(
        post(&host, "/v1/revoke", &b, &json!({ "id": parent }))
            .await
            .code(),
        "denied"
    );
    assert_eq!(
        post(&host, "/v1/revoke", &b, &json!({ "before": now() }))
            .await
            .code(),
        "denied"
    );
    // A revoked token revokes nothing more.
    assert_eq!(
        post(&host, "/v1/revoke", &below, &json!({})).await.code(),
        "token-revoked"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_issuer_minted_falls_with_it_and_tenants_do_not_touch_each_other() {
    let host = TestHost::start().await;
    let (acme, other) = (issuer(&host, "acme"), issuer(&host, "other"));
    let mint = async |issuer: &str| {
        post(&host, "/v1/tokens", issuer, &wanted(examples::HELLO).into())
            .await
            .json()
    };
    let (first, second, theirs) = (mint(&acme).await, mint(&acme).await, mint(&other).await);
    let works = async |minted: &Value| {
        host.get(minted["token"].as_str().expect("a token"), "")
            .await
            .status
            == 200
    };
    // Another tenant's issuer names the id, and nothing happens to it.
    assert_eq!(
        post(&host, "/v1/revoke", &other, &json!({ "id": first["id"] }))
            .await
            .status,
        200
    );
    assert!(works(&first).await);
    assert_eq!(
        post(&host, "/v1/revoke", &acme, &json!({ "id": first["id"] }))
            .await
            .status,
        200
    );
    assert!(!works(&first).await && works(&second).await);
    assert_eq!(
        post(&host, "/v1/revoke", &acme, &json!({})).await.status,
        200
    );
    assert!(!works(&second).await && works(&theirs).await);
    // A time to come would end the tenant for good.
    let later = json!({ "before": now() + 3_600 });
    assert_eq!(
        post(&host, "/v1/revoke", &other, &later).await.code(),
        "bad-request"
    );
    // Everything of a tenant, issued before a time.
    assert_eq!(
        post(&host, "/v1/revoke", &other, &json!({ "before": now() + 1 }))
            .await
            .status,
        200
    );
    assert!(!works(&theirs).await);
    assert_eq!(
        post(&host, "/v1/tokens", &other, &wanted(examples::HELLO).into())
            .await
            .code(),
        "token-revoked"
    );
    assert_eq!(host.get(&host.token(examples::HELLO), "").await.status, 200);
}

/// A new keyring is in force for the next request; what runs is not disturbed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyring_is_replaced_without_dropping_a_request() {
    let host = TestHost::start().await;
    let old = host.token(guests::SLOWBODY);
    let request = Request::get("/run/?n=4&ms=50")
        .header("host", "x")
        .header("webtask-token", &old);
    let running = webtask_tests::exchange(
        host.address,
        request.body(Empty::<Bytes>::new()).expect("a request"),
    )
    .await;
    let next = Keyring::generate(None);
    let claims = claims_for(examples::HELLO);
    let new = next.seal(&claims).expect("valid claims");
    assert_eq!(host.get(&new, "").await.code(), "token-invalid");
    host.replace_keyring(next);
    assert_eq!(host.get(&new, "").await.status, 200);
    let refused = host.get(&old, "").await;
    assert_eq!(refused.code(), "token-invalid");
    wait_for_line(refused.request_id(), "names a key").await;
    let body = http_body_util::BodyExt::collect(running.into_body())
        .await
        .expect("a whole body");
    assert!(body.to_bytes().ends_with(b"chunk 3\n"));
}

/// What one token may have revoked is bounded; the way out is to revoke that token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_with_too_many_revocations_is_told_to_be_revoked() {
    let host = TestHost::start().await;
    let root = host.token(examples::HELLO);
    let full = async {
        for n in 0..2_000 {
            let caveat = Caveat {
                note: Some(n.to_string()),
                ..Caveat::default()
            };
            let child = attenuate(&root, &caveat).expect("valid");
            let reply = post(&host, "/v1/revoke", &child, &json!({})).await;
            if reply.status != 200 {
                return (reply.status.as_u16(), reply.code());
            }
        }
        (200, "never full".to_owned())
    };
    let (status, code) = full.await;
    assert_eq!((status, code.as_str()), (429, "revocations-full"));
    let reply = post(&host, "/v1/revoke", &root, &json!({})).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}
