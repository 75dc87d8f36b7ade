//! What the benchmarks do: one list, so that times and allocations are of the same work.

use std::hint::black_box;

use webtask_token::{Caveat, Claims, Keyring, Secret, SecretClaim, attenuate};

const NOW: u64 = 1_800_000_000;

/// The claims of a task that charges a card: with one caveat its token has about 1 KiB.
fn claims() -> Claims {
    let mut claims = Claims::new(
        "https://cdn.example.com/tasks/2026/charge-customer.wasm",
        NOW,
    );
    claims.sha256 = Some([0xA5; 32]);
    claims.tenant = "acme".to_owned();
    claims.nbf = Some(NOW);
    for (name, slot) in [
        (
            "stripe",
            "POST https://api.stripe.com/v1/charges authorization: Bearer {}",
        ),
        (
            "mail",
            "POST https://api.mail.example.com/v2/send x-api-key: {}",
        ),
    ] {
        let value = Secret::new("sk_live_4eC39HqLyjWDarjtT1zdp7dcABCDEFGH".to_owned());
        let slots = vec![slot.parse().unwrap()];
        claims
            .secrets
            .insert(name.to_owned(), SecretClaim { value, slots });
    }
    for (name, value) in [
        ("currency", "EUR"),
        ("country", "DE"),
        ("sender", "shop@example.com"),
    ] {
        claims.params.insert(name.to_owned(), value.to_owned());
    }
    claims
        .out
        .push("GET,POST https://api.stripe.com/v1/*".parse().unwrap());
    claims
        .out
        .push("POST https://api.mail.example.com/v2/send".parse().unwrap());
    for (name, value) in [("memory", "64MiB"), ("wall", "5s"), ("calls", "3")] {
        claims.lim.set(name, value).unwrap();
    }
    claims
}

fn caveat() -> Caveat {
    Caveat {
        exp: Some(NOW + 600),
        methods: Some(vec!["GET".to_owned(), "POST".to_owned()]),
        params: [("user".to_owned(), "42".to_owned())].into(),
        ..Caveat::default()
    }
}

/// One thing to measure: its name, the length of its token in bytes, and itself.
pub(crate) type Case = (String, usize, Box<dyn FnMut()>);

fn case<T>(name: &str, len: usize, mut work: impl FnMut() -> T + 'static) -> Case {
    let work = Box::new(move || drop(black_box(work())));
    (name.to_owned(), len, work)
}

/// Everything there is to measure.
pub(crate) fn all() -> Vec<Case> {
    let keyring: &Keyring = Box::leak(Box::new(Keyring::generate(None)));
    let claims: &Claims = Box::leak(Box::new(claims()));
    let mut token = keyring.seal(claims).unwrap();
    let (len, first) = (token.len(), token.clone());
    let mut cases = vec![
        case("seal", len, || keyring.seal(claims).unwrap()),
        case("attenuate", len, move || {
            attenuate(&first, &caveat()).unwrap()
        }),
    ];
    let other = if token.get(20..21) == Some("A") {
        "B"
    } else {
        "A"
    };
    let mut forged = token.clone();
    forged.replace_range(20..21, other);
    let foreign = token.replacen(keyring.sealing_kid().as_str(), "elsewhere", 1);
    for (name, wrong) in [
        ("a byte of the claims changed", forged),
        ("an unknown key", foreign),
    ] {
        cases.push(case(&format!("open, {name}"), wrong.len(), move || {
            keyring.open(&wrong, NOW).unwrap_err()
        }));
    }
    for caveats in 0..=8 {
        if [0, 1, 8].contains(&caveats) {
            let opened = keyring.open(&token, NOW).unwrap();
            let (this, len) = (token.clone(), token.len());
            cases.push(case(&format!("open, {caveats} caveats"), len, move || {
                keyring.open(&this, NOW).unwrap()
            }));
            cases.push(case(
                &format!("rights, {caveats} caveats"),
                len,
                move || opened.rights(),
            ));
        }
        token = attenuate(&token, &caveat()).unwrap();
    }
    cases
}
