//! What revocations cost the opening of a token, and whether the ways of not being ours can be told
//! apart by time. Prints Markdown tables; `cargo bench -p webtask-host --bench revocations`.

use std::{hint::black_box, time::Instant};

use webtask_host::{Revocation, Revocations};
use webtask_token::{Claims, Keyring, LinkId, Opened};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 2_001;

/// Nanoseconds of `work`, sorted.
fn measure(mut work: impl FnMut()) -> Vec<u128> {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..10 {
                work();
            }
            started.elapsed().as_nanos() / 10
        })
        .collect();
    times.sort_unstable();
    times
}

fn row(name: &str, times: &[u128]) {
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0);
    println!("| {name} | {} | {} | {} |", at(10), at(50), at(90));
}

fn check(revocations: &Revocations, opened: &Opened) -> bool {
    let links = opened.links.iter().chain(&opened.claims.iss);
    revocations.is_revoked(links, &opened.claims.tenant, opened.claims.iat)
}

fn main() {
    let keyring = Keyring::generate(None);
    let claims = Claims::new("https://code.example.com/webtasks/hello.wasm", NOW);
    let token = keyring.seal(&claims).expect("valid claims");
    let (few, many) = (Revocations::in_memory(), Revocations::in_memory());
    for n in 0..100_000_u128 {
        let id = LinkId::from((n + 1).to_be_bytes());
        let entry = Revocation {
            tenant: claims.tenant.clone(),
            id,
            root: id,
            until: u64::MAX,
        };
        many.revoke(&entry, NOW).expect("below the limit");
    }
    println!("| open and ask for revocations | p10 ns | p50 ns | p90 ns |\n|---|---|---|---|");
    for (name, revocations) in [
        ("none revoked", &few),
        ("100,000 revoked", &many),
        ("none revoked, again", &few),
        ("100,000 revoked, again", &many),
    ] {
        let times = measure(|| {
            let opened = keyring.open(black_box(&token), NOW).expect("a good token");
            assert!(!black_box(check(revocations, &opened)));
        });
        row(name, &times);
    }

    let last = token.len() - 1;
    let changed = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = if *byte == b'A' { b'Q' } else { b'A' };
        }
        String::from_utf8(bytes).expect("still text")
    };
    let foreign = Keyring::generate(None).seal(&claims).expect("valid claims");
    println!("\n| a token that is not ours | p10 ns | p50 ns | p90 ns |\n|---|---|---|---|");
    for (name, wrong) in [
        ("its tail changed", changed(last)),
        ("its claims changed, first byte", changed(20)),
        ("its claims changed, last byte", changed(last - 50)),
        ("of an unknown key", foreign),
    ] {
        let times = measure(|| assert!(keyring.open(black_box(&wrong), NOW).is_err()));
        row(name, &times);
    }
}
