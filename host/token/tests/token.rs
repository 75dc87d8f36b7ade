//! What a token promises as a whole: what was sealed comes back, and nothing else does.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use webtask_token::{
    Carrier, Claims, Error, Format, Grant, Keyring, Limits, LinkId, MAX_TOKEN_LEN, SealError,
    Secret, SecretClaim, Slot, inspect,
};

const NOW: u64 = 1_800_000_000;
const CANARY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dcABCDEFGH";

fn stripe() -> Claims {
    let mut claims = Claims::new(
        "https://cdn.example.com/tasks/2026/charge-customer.wasm",
        NOW,
    );
    claims.sha256 = Some([0xA5; 32]);
    claims.secrets.insert(
        "stripe".to_owned(),
        SecretClaim {
            value: Secret::new(CANARY.to_owned()),
            slots: vec![
                "POST https://api.stripe.com/v1/charges authorization: Bearer {}"
                    .parse()
                    .unwrap(),
            ],
        },
    );
    claims
}

/// Everything that claims say, secrets included, in a form that can be compared.
fn everything(claims: &Claims) -> String {
    let secrets: Vec<_> = claims
        .secrets
        .iter()
        .map(|(n, s)| (n, s.value.expose()))
        .collect();
    format!(
        "{claims:?} {} {:?} {:?} {secrets:?}",
        claims.url, claims.sha256, claims.params
    )
}

#[test]
fn a_realistic_token_is_short() {
    let claims = stripe();
    assert!(
        (50..=60).contains(&claims.url.len()),
        "{}",
        claims.url.len()
    );
    assert_eq!(CANARY.len(), 40);
    let token = Keyring::generate(None).seal(&claims).unwrap();
    println!("{} characters", token.len());
    assert!(token.len() < 480, "{}", token.len());
}

#[test]
fn two_seals_of_one_thing_differ() {
    let keyring = Keyring::generate(None);
    let (a, b) = (
        keyring.seal(&stripe()).unwrap(),
        keyring.seal(&stripe()).unwrap(),
    );
    assert_ne!(a, b);
    let (a, b) = (
        keyring.open(&a, NOW).unwrap(),
        keyring.open(&b, NOW).unwrap(),
    );
    assert_ne!(a.id, b.id);
    assert_eq!(a.links, [a.id]);
    assert_eq!(everything(&a.claims), everything(&b.claims));
}

#[test]
fn every_character_counts() {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= ~\0";
    let keyring = Keyring::generate(None);
    let token = keyring.seal(&stripe()).unwrap();
    for (place, old) in token.char_indices() {
        for new in ALPHABET.chars().filter(|new| *new != old) {
            let forged = format!("{}{new}{}", &token[..place], &token[place + 1..]);
            let error = keyring.open(&forged, NOW).unwrap_err();
            assert!(!error.authenticated(), "{place}: {old} to {new}: {error}");
            let longer = format!("{}{new}{}", &token[..place], &token[place..]);
            assert!(keyring.open(&longer, NOW).is_err(), "{place}: added {new}");
        }
        assert!(
            keyring.open(&token[..place], NOW).is_err(),
            "cut at {place}"
        );
        assert!(
            keyring.open(&token[place + 1..], NOW).is_err(),
            "cut before {place}"
        );
        let shorter = format!("{}{}", &token[..place], &token[place + 1..]);
        assert!(keyring.open(&shorter, NOW).is_err(), "without {place}");
    }
    for end in ["A", "=", ".", " ", "\n", ".AAAA"] {
        assert!(
            keyring.open(&format!("{token}{end}"), NOW).is_err(),
            "{end:?}"
        );
    }
}

#[test]
fn the_clock_is_exact() {
    let keyring = Keyring::generate(None);
    let mut claims = stripe();
    claims.nbf = Some(NOW + 10);
    claims.exp = NOW + 20;
    let token = keyring.seal(&claims).unwrap();
    let open = |now| keyring.open(&token, now).map(drop);
    assert_eq!(
        open(NOW + 9),
        Err(Error::NotYetValid {
            nbf: NOW + 10,
            now: NOW + 9
        })
    );
    assert_eq!(open(NOW + 10), Ok(()));
    assert_eq!(open(NOW + 19), Ok(()));
    assert_eq!(
        open(NOW + 20),
        Err(Error::Expired {
            exp: NOW + 20,
            now: NOW + 20
        })
    );
    assert_eq!(
        open(u64::MAX),
        Err(Error::Expired {
            exp: NOW + 20,
            now: u64::MAX
        })
    );
}

#[test]
fn only_the_named_key_opens() {
    let kid = || Some("k".parse().unwrap());
    let (ours, theirs) = (Keyring::generate(kid()), Keyring::generate(kid()));
    let token = theirs.seal(&stripe()).unwrap();
    assert_eq!(ours.open(&token, NOW).unwrap_err(), Error::Unauthentic);
    let elsewhere = Keyring::generate(Some("other".parse().unwrap()));
    assert_eq!(elsewhere.open(&token, NOW).unwrap_err(), Error::UnknownKey);
}

#[test]
fn claims_that_do_not_fit_are_not_sealed() {
    let keyring = Keyring::generate(None);
    let mut claims = stripe();
    claims.url = "charge.wasm".to_owned();
    assert!(matches!(keyring.seal(&claims), Err(SealError::Invalid(_))));
    for len in (5_500..9_000).step_by(13) {
        let mut claims = Claims::new("https://h/", NOW);
        claims.params.insert("p".to_owned(), "x".repeat(len));
        match keyring.seal(&claims) {
            Ok(token) => {
                assert!(token.len() <= MAX_TOKEN_LEN);
                assert!(keyring.open(&token, NOW).is_ok());
            }
            Err(error) => {
                assert_eq!(error, SealError::TooLong);
                assert!(len > 5_900, "{len}");
            }
        }
    }
}

/// As long as can be is not too long, and one more is.
#[test]
fn a_sealed_token_is_as_long_as_it_may_be() {
    // base64url has no text of every length; of three kids one makes up for it.
    let longest = ["k", "kk", "kkk"].map(|kid| {
        let keyring = Keyring::generate(Some(kid.parse().unwrap()));
        let mut sealed = (5_900..6_100).filter_map(|len| {
            let mut claims = Claims::new("https://h/", NOW);
            claims.params.insert("p".to_owned(), "x".repeat(len));
            keyring.seal(&claims).ok()
        });
        let token = sealed.next_back().unwrap();
        assert!(keyring.open(&token, NOW).is_ok());
        token.len()
    });
    assert_eq!(longest.iter().max(), Some(&MAX_TOKEN_LEN), "{longest:?}");
}

#[test]
fn anybody_can_inspect() {
    let token = Keyring::generate(Some("k1".parse().unwrap()))
        .seal(&stripe())
        .unwrap();
    let seen = inspect(&token).unwrap();
    assert_eq!(
        (seen.kid.as_str(), seen.len, seen.caveats.len()),
        ("k1", token.len(), 0)
    );
    let sealed = token.split('.').nth(2).unwrap();
    assert_eq!(seen.sealed_len, sealed.len() * 3 / 4);
}

/// Trap 20: every public type, formatted in every way, says nothing of a secret or of the token.
#[test]
fn nothing_shows_a_secret() {
    let keyring = Keyring::generate(None);
    let mut claims = stripe();
    claims.url.push_str("?signature=");
    claims.url.push_str(CANARY);
    claims.params.insert("user".to_owned(), CANARY.to_owned());
    claims
        .out
        .push("GET https://api.example.com/*".parse().unwrap());
    let token = keyring.seal(&claims).unwrap();
    let forged = format!(
        "{}.AAAA.{}",
        &token[..token.len() - 44],
        &token[token.len() - 43..]
    );
    let root = keyring.to_toml().split("root = \"").nth(1).unwrap()[..43].to_owned();
    let secret = &claims.secrets["stripe"];
    let errors: Vec<Error> = [
        (token.as_str(), 0),
        (&token, u64::MAX),
        (&forged, NOW),
        ("wt2.a.b.c", NOW),
        (CANARY, NOW),
    ]
    .iter()
    .filter_map(|(token, now)| keyring.open(token, *now).err())
    .collect();
    assert_eq!(errors.len(), 4, "the first token is not early");
    let parse = [
        format!("{:?}", CANARY.parse::<Grant>().unwrap_err()),
        format!(
            "{:?} {}",
            CANARY.parse::<Slot>(),
            CANARY.parse::<Slot>().unwrap_err()
        ),
        format!(
            "{:?} {}",
            CANARY.parse::<Format>(),
            CANARY.parse::<Format>().unwrap_err()
        ),
        CANARY.parse::<LinkId>().unwrap_err().to_string(),
        Limits::default()
            .set(CANARY, CANARY)
            .unwrap_err()
            .to_string(),
        Keyring::from_toml(&format!("root = \"{CANARY}\""))
            .unwrap_err()
            .to_string(),
        format!("{:?}", Keyring::from_toml(CANARY).unwrap_err()),
    ];
    let shown = [
        format!("{claims:?} {claims:#?}"),
        format!("{secret:?} {:?}", secret.value),
        format!(
            "{:?} {:?}",
            secret.slots,
            secret.slots[0].format.render(&secret.value, b"")
        ),
        format!("{keyring:?} {keyring:#?}"),
        format!("{:?}", keyring.open(&token, NOW).unwrap()),
        format!("{:?}", inspect(&forged).unwrap()),
        format!("{errors:?}"),
        errors.iter().map(Error::to_string).collect(),
        format!("{:?} {:?} {:?}", claims.kind, Carrier::Path, claims.lim),
        format!(
            "{:?} {}",
            keyring.seal(&Claims::new(CANARY, NOW)),
            SealError::TooLong
        ),
        parse.concat(),
    ]
    .concat();
    for told in [
        "(40 bytes)",
        "charge-customer.wasm",
        "sealed_len",
        &format!("sealing: KeyId(\"{}\")", keyring.sealing_kid()),
    ] {
        assert!(shown.contains(told), "{told} is not in {shown}");
    }
    for hidden in [
        CANARY,
        &CANARY[4..20],
        &root,
        &token[20..60],
        &token[token.len() - 43..],
        "AAAA",
    ] {
        assert!(!shown.contains(hidden), "{hidden} is in {shown}");
    }
}

fn origin() -> impl Strategy<Value = String> {
    (
        "https?",
        "[a-z]([a-z0-9]{0,8}[a-z])?",
        "com|test|example\\.org",
        option::of(1u16..),
    )
        .prop_map(|(scheme, name, top, port)| match port {
            Some(port) => format!("{scheme}://{name}.{top}:{port}"),
            None => format!("{scheme}://{name}.{top}"),
        })
}

fn slot(n: usize) -> impl Strategy<Value = Slot> {
    (
        "GET|POST",
        origin(),
        "/([a-z]{1,5}/){0,2}\\*?",
        "Bearer \\{\\}|\\{\\}|basic:([a-z][a-z ]{0,3}[a-z])?",
    )
        .prop_map(move |(method, origin, path, format)| {
            format!("{method} {origin}{path} x-{n}: {format}")
                .parse()
                .unwrap()
        })
}

fn secret() -> impl Strategy<Value = SecretClaim> {
    let readable = any::<String>().prop_map(|v| SecretClaim {
        value: Secret::new(v),
        slots: Vec::new(),
    });
    let bound = ("[!-~]([ -~]{0,40}[!-~])?", slot(0), option::of(slot(1))).prop_map(|(v, a, b)| {
        SecretClaim {
            value: Secret::new(v),
            slots: [a].into_iter().chain(b).collect(),
        }
    });
    prop_oneof![readable, bound]
}

fn grant() -> impl Strategy<Value = Grant> {
    ("GET|POST,PUT|\\*", origin(), "(/[a-z]{1,5}){0,2}/\\*?")
        .prop_map(|(m, o, p)| format!("{m} {o}{p}").parse().unwrap())
}

fn claims() -> impl Strategy<Value = Claims> {
    let name = "[A-Za-z0-9_.-]{1,30}";
    let times = (0u64..1 << 36, 1u64..1 << 36, option::of(0u64..1 << 37));
    let limits = vec(option::of(any::<u64>()), 8);
    let parts = (
        name,
        origin(),
        option::of(any::<[u8; 32]>()),
        btree_map(name, secret(), 0..4),
        btree_map(name, "[^\0]{0,40}", 0..4),
        vec(grant(), 0..4),
        times,
        vec(any::<[u8; 16]>(), 0..3),
        limits,
        any::<bool>(),
    );
    parts.prop_map(
        |(tenant, origin, sha256, secrets, params, out, (iat, life, nbf), iss, limits, path)| {
            let mut claims = Claims::new(format!("{origin}/task.wasm"), iat);
            (
                claims.tenant,
                claims.sha256,
                claims.secrets,
                claims.params,
                claims.out,
            ) = (tenant, sha256, secrets, params, out);
            claims.exp = iat + life;
            claims.nbf = nbf.filter(|nbf| *nbf < claims.exp);
            claims.iss = iss.into_iter().map(LinkId::from).collect();
            let lim = &mut claims.lim;
            let fields = [
                &mut lim.cpu_ms,
                &mut lim.wall_ms,
                &mut lim.memory,
                &mut lim.request,
                &mut lim.response,
                &mut lim.calls,
                &mut lim.log,
                &mut lim.rate,
            ];
            for (field, limit) in fields.into_iter().zip(limits) {
                *field = limit;
            }
            claims.via.extend(path.then_some(Carrier::Path));
            claims
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_is_opened(claims in claims()) {
        let keyring = Keyring::generate(None);
        match keyring.seal(&claims) {
            Ok(token) => {
                let opened = keyring.open(&token, claims.exp - 1).unwrap();
                prop_assert_eq!(everything(&opened.claims), everything(&claims));
            }
            // Two secrets in one slot of the same origin are possible, if rare.
            Err(error) => prop_assert!(matches!(error, SealError::Invalid(text) if text.contains("two slots")), "{}", error),
        }
    }

    #[test]
    fn no_text_opens(text in "\\PC{0,200}|wt1\\.[a-z]{1,4}(\\.[A-Za-z0-9_-]{0,90}){0,20}") {
        let keyring = Keyring::generate(Some("k".parse().unwrap()));
        prop_assert!(keyring.open(&text, NOW).is_err());
        let _ = inspect(&text);
    }

    #[test]
    fn text_forms_never_panic(text in "\\PC{0,80}|(GET )?https?://[a-z\\[\\]:.*%0-9/]{0,30}( [a-z]{1,5}: [{}a-z:]{0,9})?") {
        if let Ok(grant) = text.parse::<Grant>() {
            prop_assert_eq!(grant.to_string().parse::<Grant>().unwrap(), grant);
        }
        if let Ok(slot) = text.parse::<Slot>() {
            prop_assert_eq!(slot.to_string().parse::<Slot>().unwrap(), slot);
        }
    }
}
