//! What caveats promise as a whole: any sequence of them only narrows, and no byte of it can be changed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use webtask_token::{
    AttenuateError, Caveat, Claims, Error, Grant, Keyring, Limits, MAX_CAVEATS, MAX_TOKEN_LEN,
    Rights, attenuate, inspect,
};

const NOW: u64 = 1_800_000_000;
const METHODS: [&str; 4] = ["DELETE", "GET", "POST", "PUT"];
const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/ab", "/b", "/a//b"];
const PATTERNS: [&str; 5] = ["/*", "/a*", "/a/*", "/a", "/b"];
const ORIGINS: [&str; 3] = ["http://[::1]:8080", "https://a.test", "https://b.test"];
const HOSTS: [&str; 3] = ["a.test", "b.a.test", "c.b.a.test"];
const GRANTED: [&str; 4] = ["a.test", "b.a.test", "*.a.test", "*.b.a.test"];

fn texts(items: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    subsequence(items, 1..=items.len())
        .prop_map(|items| items.iter().map(ToString::to_string).collect())
}

fn grant() -> impl Strategy<Value = Grant> {
    let methods = prop_oneof![Just(vec!["*".to_owned()]), texts(&METHODS)];
    (methods, select(&GRANTED[..]), select(&PATTERNS[..])).prop_map(|(methods, host, path)| Grant {
        methods: methods.into_iter().map(Into::into).collect(),
        origin: format!("https://{host}").parse().unwrap(),
        path: path.into(),
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    vec(option::weighted(0.2, 0u64..9), 8).prop_map(|values| {
        let [cpu_ms, wall_ms, memory, request, response, calls, log, rate] = values[..] else {
            unreachable!("there are eight")
        };
        Limits {
            cpu_ms,
            wall_ms,
            memory,
            request,
            response,
            calls,
            log,
            rate,
        }
    })
}

fn caveat() -> impl Strategy<Value = Caveat> {
    let times = (
        option::weighted(0.2, NOW..NOW + 9),
        option::weighted(0.2, NOW - 9..NOW + 3),
    );
    let inbound = (
        option::weighted(0.3, texts(&METHODS)),
        option::weighted(0.3, select(&PATTERNS[..])),
        option::weighted(0.3, texts(&ORIGINS)),
    );
    let params = btree_map("[a-e]", "[12]", 0..2);
    let out = option::weighted(0.3, vec(grant(), 0..4));
    let note = option::weighted(0.2, "[a-zä]{1,9}");
    (times, inbound, params, limits(), out, note)
        .prop_map(
            |((exp, nbf), (methods, path, origins), params, lim, out, note)| Caveat {
                exp,
                nbf,
                methods,
                path: path.map(str::to_owned),
                origins,
                params,
                lim,
                out,
                note,
            },
        )
        .prop_filter("a caveat takes something away", |caveat| {
            *caveat != Caveat::default()
        })
}

fn claims() -> impl Strategy<Value = Claims> {
    let params = btree_map("[a-e]", "[12]", 0..2);
    (params, vec(grant(), 0..4), limits()).prop_map(|(params, out, lim)| {
        let mut claims = Claims::new("https://h.test/a.wasm", NOW - 20);
        (claims.params, claims.out, claims.lim) = (params, out, lim);
        claims
    })
}

/// All that rights say, asked one by one.
fn allowed(rights: &Rights) -> Vec<bool> {
    let mut answers = Vec::new();
    for method in METHODS {
        for path in PATHS {
            answers.push(rights.allows_request(method, path).is_ok());
            for host in HOSTS {
                answers.push(rights.allows_outbound(method, "https", host, 443, path));
            }
        }
    }
    for origin in ORIGINS {
        answers.push(rights.allows_origin(Some(origin)));
    }
    answers.push(rights.allows_origin(None));
    answers.push(rights.allows_origin(Some("null")));
    answers
}

fn no_wider(narrow: &Rights, wide: &Rights) {
    for (after, before) in allowed(narrow).into_iter().zip(allowed(wide)) {
        assert!(before || !after, "{narrow:?} in {wide:?}");
    }
    assert!(narrow.exp <= wide.exp && narrow.nbf >= wide.nbf);
    assert_eq!(narrow.lim.lowered(&wide.lim), narrow.lim);
    for (name, value) in &wide.params {
        assert_eq!(narrow.params.get(name), Some(value));
    }
    assert!(narrow.rates.starts_with(&wide.rates) && narrow.links.starts_with(&wide.links));
    assert!(narrow.tenant == wide.tenant && narrow.iss == wide.iss);
    match (narrow.origins(), wide.origins()) {
        (_, None) => {}
        (narrow, Some(wide)) => assert!(narrow.unwrap().iter().all(|o| wide.contains(o))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn caveats_only_narrow(claims in claims(), caveats in vec(caveat(), 1..=MAX_CAVEATS)) {
        let keyring = Keyring::generate(None);
        let mut token = keyring.seal(&claims).unwrap();
        let mut before = keyring.open(&token, NOW).map(|opened| opened.rights());
        for (place, caveat) in caveats.iter().enumerate() {
            token = match attenuate(&token, caveat) {
                Ok(token) => token,
                Err(AttenuateError::ParamFixed) => break,
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            };
            let opened = keyring.open(&token, NOW);
            let after = opened.as_ref().map(|opened| opened.rights()).map_err(|error| *error);
            if let Ok(opened) = &opened {
                prop_assert_eq!(&opened.caveats, &caveats[..=place]);
            }
            match (&after, &before) {
                (Ok(after), Ok(before)) => no_wider(after, before),
                (Ok(_), Err(error)) => return Err(TestCaseError::fail(format!("it came back: {error}"))),
                (Err(error), _) => prop_assert!(error.authenticated(), "{}", error),
            }
            before = after;
        }
    }

    #[test]
    fn any_byte_changed_fails(caveats in vec(caveat(), 1..4), place in any::<prop::sample::Index>(), new in "[A-Za-z0-9_.-]") {
        let keyring = Keyring::generate(None);
        let mut token = keyring.seal(&Claims::new("https://h.test/a.wasm", NOW - 20)).unwrap();
        for caveat in &caveats {
            token = attenuate(&token, caveat).unwrap_or(token);
        }
        let place = place.index(token.len());
        prop_assume!(token[place..=place] != new);
        let mut forged = token.clone();
        forged.replace_range(place..=place, &new);
        let error = keyring.open(&forged, NOW).unwrap_err();
        prop_assert!(!error.authenticated(), "{}", error);
        for pieces in [forged.split('.').rev().collect::<Vec<_>>(), token.split('.').rev().collect()] {
            // Without any one piece, and with any one twice.
            for n in 0..pieces.len() {
                let (mut fewer, mut more) = (pieces.clone(), pieces.clone());
                fewer.remove(n);
                more.insert(n, pieces[n]);
                for pieces in [fewer, more] {
                    let text = pieces.into_iter().rev().collect::<Vec<_>>().join(".");
                    prop_assert!(keyring.open(&text, NOW).is_err_and(|error| !error.authenticated()));
                }
            }
        }
    }

    /// Nobody without the key makes a token valid, whatever is appended to it.
    #[test]
    fn attenuating_a_forgery_is_a_forgery(caveat in caveat(), tail in any::<[u8; 32]>()) {
        let keyring = Keyring::generate(None);
        let token = keyring.seal(&Claims::new("https://h.test/a.wasm", NOW - 20)).unwrap();
        let (link, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{link}.{}", data_encoding::BASE64URL_NOPAD.encode(&tail));
        let narrowed = attenuate(&forged, &caveat).unwrap();
        prop_assert_eq!(keyring.open(&narrowed, NOW).unwrap_err(), Error::Unauthentic);
    }
}

#[test]
fn what_a_caveat_says_is_not_shown() {
    let caveat = Caveat {
        params: [("user".to_owned(), "CANARY".to_owned())].into(),
        note: Some("CANARY".to_owned()),
        ..Caveat::default()
    };
    let keyring = Keyring::generate(None);
    let token = keyring.seal(&Claims::new("https://h.test/", NOW)).unwrap();
    let token = attenuate(&token, &caveat).unwrap();
    let opened = keyring.open(&token, NOW).unwrap();
    let shown = format!("{caveat:?} {opened:?} {:?}", opened.rights());
    assert!(
        shown.matches("user").count() == 3 && !shown.contains("CANARY"),
        "{shown}"
    );
}

#[test]
fn rights_can_be_asked_for() {
    let caveat = Caveat {
        methods: Some(vec!["GET".to_owned(), "POST".to_owned()]),
        path: Some("/a/*".to_owned()),
        origins: Some(vec!["https://a.test".to_owned()]),
        ..Caveat::default()
    };
    let keyring = Keyring::generate(None);
    let wide = keyring.seal(&Claims::new("https://h.test/", NOW)).unwrap();
    let rights = keyring.open(&wide, NOW).unwrap().rights();
    assert_eq!((rights.methods(), rights.origins()), (None, None));
    assert_eq!(rights.paths(), &[] as &[String]);
    let token = attenuate(&wide, &caveat).unwrap();
    let rights = keyring.open(&token, NOW).unwrap().rights();
    assert_eq!(rights.methods(), caveat.methods.as_deref());
    assert_eq!(rights.origins(), caveat.origins.as_deref());
    assert_eq!(rights.paths(), ["/a/*"]);
    // Anybody reads a caveat as it stands there.
    let seen = inspect(&token).unwrap();
    assert_eq!(Caveat::decode(&seen.caveats[0]), Ok(caveat));
}

/// As long as can be is not too long, and one more is.
#[test]
fn a_token_is_as_long_as_it_may_be() {
    // base64url has no text of every length; of three kids one makes up for it.
    let longest = ["k", "kk", "kkk"].map(|kid| {
        let keyring = Keyring::generate(Some(kid.parse().unwrap()));
        let token = keyring.seal(&Claims::new("https://h.test/", NOW)).unwrap();
        let mut longest = 0;
        for len in 5_800..6_100 {
            let caveat = Caveat {
                params: [("p".to_owned(), "x".repeat(len))].into(),
                ..Caveat::default()
            };
            match attenuate(&token, &caveat) {
                Ok(token) => {
                    longest = token.len();
                    assert!(keyring.open(&token, NOW).is_ok());
                }
                Err(error) => assert_eq!(error, AttenuateError::TooLong),
            }
        }
        longest
    });
    assert_eq!(longest.iter().max(), Some(&MAX_TOKEN_LEN), "{longest:?}");
}

#[test]
fn the_caveat_that_changes_a_parameter_is_named() {
    let keyring = Keyring::generate(None);
    let mut claims = Claims::new("https://h.test/", NOW);
    claims.params.insert("plan".to_owned(), "free".to_owned());
    let note = Caveat {
        note: Some("first".to_owned()),
        ..Caveat::default()
    };
    let changes = Caveat {
        params: [("plan".to_owned(), "paid".to_owned())].into(),
        ..Caveat::default()
    };
    let token = attenuate(&keyring.seal(&claims).unwrap(), &note).unwrap();
    let token = attenuate(&token, &changes).unwrap();
    assert_eq!(
        keyring.open(&token, NOW).unwrap_err(),
        Error::ParamFixed { caveat: 2 }
    );
}
