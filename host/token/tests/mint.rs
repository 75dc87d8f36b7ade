//! Minting: what an issuer token makes, and what it refuses.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::json;
use webtask_token::{
    Caveat, Ceiling, Claims, Error, Keyring, Kind, MintError, MintRequest, Opened, RevokeRequest,
    attenuate,
};

const NOW: u64 = 1_800_000_000;

fn ceiling() -> Ceiling {
    let mut ceiling = Ceiling::new(vec!["https://code.example.com/tasks/*".to_owned()], 3_600);
    ceiling.out = vec!["* https://*.example.com/*".parse().unwrap()];
    ceiling.lim.set("memory", "64MiB").unwrap();
    ceiling.params = vec!["user".to_owned(), "plan".to_owned()];
    ceiling.secrets = vec!["*".to_owned()];
    ceiling
}

fn issuer(keyring: &Keyring, caveats: &[Caveat]) -> Opened {
    let mut claims = Claims::issuer(ceiling(), NOW);
    claims.tenant = "acme".to_owned();
    let mut token = keyring.seal(&claims).unwrap();
    for caveat in caveats {
        token = attenuate(&token, caveat).unwrap();
    }
    keyring.open(&token, NOW).unwrap()
}

fn request(more: &serde_json::Value) -> MintRequest {
    let mut request =
        json!({ "url": "https://code.example.com/tasks/a.wasm", "sha256": "A5".repeat(32) });
    for (key, value) in more.as_object().unwrap() {
        request[key] = value.clone();
    }
    serde_json::from_value(request).unwrap()
}

#[test]
fn a_minted_token_is_its_issuers() {
    let keyring = Keyring::generate(None);
    let issuer = issuer(&keyring, &[]);
    assert!(matches!(issuer.claims.kind, Kind::Issue(_)));
    let asked = request(&json!({
        "secrets": { "stripe": "sk_1" },
        "bind": ["stripe=POST https://api.example.com/v1/charges authorization: Bearer {}"],
        "allow": ["POST https://api.example.com/v1/*"],
        "params": { "user": "42" }, "expires": 60, "limits": { "wall": "5s", "calls": 3 },
    }));
    let minted = issuer.mint(asked, &keyring, NOW).unwrap();
    let opened = keyring.open(&minted.token, NOW + 59).unwrap();
    assert_eq!(opened.claims.iss, issuer.links);
    assert_eq!(
        (opened.claims.tenant.as_str(), opened.claims.iat),
        ("acme", NOW)
    );
    assert_eq!(
        (minted.id, minted.expires),
        (opened.id.to_string(), NOW + 60)
    );
    assert_eq!(opened.claims.secrets["stripe"].slots.len(), 1);
    assert_eq!(opened.claims.secrets["stripe"].value.expose(), "sk_1");
    let lim = opened.rights().lim;
    assert_eq!(
        (lim.wall_ms, lim.calls, lim.memory),
        (Some(5_000), Some(3), Some(64 << 20))
    );
    let shown = format!(
        "{:?}",
        issuer.mint(request(&json!({})), &keyring, NOW).unwrap()
    );
    assert!(shown.contains("id") && !shown.contains("wt1."), "{shown}");
    let revoke = RevokeRequest {
        token: Some(minted.token),
        ..RevokeRequest::default()
    };
    let shown = format!("{revoke:?}");
    assert!(
        shown.contains("token: true") && !shown.contains("wt1."),
        "{shown}"
    );
    // Without a time of its own it lives as long as the ceiling allows.
    let minted = issuer.mint(request(&json!({})), &keyring, NOW).unwrap();
    assert_eq!(minted.expires, NOW + 3_600);
    // It runs, and mints nothing.
    let opened = keyring.open(&minted.token, NOW).unwrap();
    let again = opened.mint(request(&json!({})), &keyring, NOW);
    assert_eq!(again.unwrap_err(), MintError::NotIssuer);
}

#[test]
fn all_that_is_too_wide_is_told() {
    let keyring = Keyring::generate(None);
    let issuer = issuer(&keyring, &[]);
    let wide = request(&json!({
        "url": "https://evil.test/a.wasm", "params": { "admin": "1" }, "allow": ["GET https://evil.test/*"],
        "expires": 3_601, "limits": { "memory": 67_108_865 }, "via": ["path"],
    }));
    let Err(MintError::TooWide(list)) = issuer.mint(wide, &keyring, NOW) else {
        unreachable!("it was minted")
    };
    let fields: Vec<&str> = list.iter().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(
        fields,
        ["url", "params", "out", "exp", "lim", "via"],
        "{list:?}"
    );
    assert!(list.contains(&"params: admin is not allowed, only user, plan".to_owned()));
    let mut unpinned = request(&json!({}));
    (unpinned.sha256, unpinned.unpinned) = (None, true);
    let refused = issuer.mint(unpinned, &keyring, NOW).unwrap_err();
    assert_eq!(
        refused,
        MintError::TooWide(vec!["sha256: is required".to_owned()])
    );
}

#[test]
fn what_is_not_understood_is_refused_without_repeating_it() {
    let keyring = Keyring::generate(None);
    let issuer = issuer(&keyring, &[]);
    for (field, value) in [
        ("sha256", json!("CANARY")),
        ("unpinned", json!(true)),
        ("bind", json!(["CANARY"])),
        ("bind", json!(["CANARY=GET https://h/ a: {}"])),
        ("allow", json!(["CANARY"])),
        ("limits", json!({ "CANARY": 1 })),
        ("limits", json!({ "cpu": "CANARY" })),
        ("via", json!(["CANARY"])),
    ] {
        let asked = request(&json!({ field: value }));
        let error = issuer.mint(asked, &keyring, NOW).unwrap_err();
        let MintError::Invalid { field: found, .. } = &error else {
            unreachable!("{error}")
        };
        assert!(*found == field || field == "unpinned", "{error}");
        assert!(!error.to_string().contains("CANARY"), "{error}");
    }
    let debug = request(&json!({ "secrets": { "s": "CANARY" }, "params": { "user": "CANARY" } }));
    let shown = format!("{debug:?}");
    assert!(
        shown.contains("user") && !shown.contains("CANARY"),
        "{shown}"
    );
    for unknown in ["tenant", "iss", "kind", "nbf"] {
        let mut body = json!({ "url": "https://h/" });
        body[unknown] = json!("x");
        assert!(serde_json::from_value::<MintRequest>(body).is_err());
    }
    // Round trip of the types.
    let body = serde_json::to_value(request(&json!({}))).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 2);
}

#[test]
fn a_narrowed_issuer_mints_narrowed_tokens() {
    let keyring = Keyring::generate(None);
    let caveats = [
        Caveat {
            exp: Some(NOW + 10),
            methods: Some(vec!["GET".to_owned()]),
            params: [("user".to_owned(), "42".to_owned())].into(),
            ..Caveat::default()
        },
        Caveat {
            out: Some(Vec::new()),
            ..Caveat::default()
        },
    ];
    let issuer = issuer(&keyring, &caveats);
    assert_eq!(issuer.links.len(), 3);
    let asked = || request(&json!({ "allow": ["GET https://api.example.com/*"] }));
    let minted = issuer.mint(asked(), &keyring, NOW).unwrap();
    assert_eq!(minted.expires, NOW + 10);
    assert!(matches!(
        keyring.open(&minted.token, NOW + 10),
        Err(Error::Expired { .. })
    ));
    let opened = keyring.open(&minted.token, NOW).unwrap();
    assert_eq!(opened.caveats, caveats);
    assert_eq!(opened.claims.iss, issuer.links);
    let rights = opened.rights();
    assert_eq!(rights.params["user"], "42");
    assert!(rights.allows_request("POST", "/").is_err());
    assert!(!rights.allows_outbound("GET", "https", "api.example.com", 443, "/"));
    let other = request(&json!({ "params": { "user": "43" } }));
    let refused = issuer.mint(other, &keyring, NOW).unwrap_err();
    assert!(
        matches!(&refused, MintError::TooWide(list) if list.len() == 1),
        "{refused}"
    );
}
