//! What a token costs, as a table in Markdown: `cargo bench -p webtask-token`.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use webtask_token::{Caveat, Claims, Keyring, Secret, SecretClaim, attenuate};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 1001;

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

/// The median of several rounds, of one call.
fn time<T>(mut call: impl FnMut() -> T) -> Duration {
    let calls = 20; // short, so that most rounds are not interrupted
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                drop(black_box(call()));
            }
            start.elapsed() / calls
        })
        .collect();
    rounds.sort();
    rounds.get(ROUNDS / 2).copied().unwrap_or_default()
}

fn row<T>(what: &str, len: usize, mut call: impl FnMut() -> T) {
    let allocations = allocation_counter::measure(|| drop(black_box(call()))).count_total;
    let micros = time(call).as_secs_f64() * 1e6;
    println!("| {what} | {len} | {micros:.2} | {allocations} |");
}

fn main() {
    let keyring = Keyring::generate(None);
    let claims = claims();
    println!("| | token, bytes | µs | allocations |\n|---|---|---|---|");
    let mut token = keyring.seal(&claims).unwrap();
    let len = token.len();
    row("seal", len, || keyring.seal(&claims).unwrap());
    row("attenuate", len, || attenuate(&token, &caveat()).unwrap());
    for caveats in 0..=8 {
        if [0, 1, 8].contains(&caveats) {
            let what = format!("open, {caveats} caveats");
            row(&what, token.len(), || keyring.open(&token, NOW).unwrap());
            let opened = keyring.open(&token, NOW).unwrap();
            let what = format!("rights, {caveats} caveats");
            row(&what, token.len(), || opened.rights());
        }
        if caveats == 0 {
            let mut forged = token.clone();
            forged.replace_range(
                20..21,
                if token.get(20..21) == Some("A") {
                    "B"
                } else {
                    "A"
                },
            );
            row("open, a byte of the claims changed", len, || {
                keyring.open(&forged, NOW).unwrap_err()
            });
            let other = token.replacen(keyring.sealing_kid().as_str(), "elsewhere", 1);
            row("open, an unknown key", other.len(), || {
                keyring.open(&other, NOW).unwrap_err()
            });
        }
        token = attenuate(&token, &caveat()).unwrap();
    }
}
