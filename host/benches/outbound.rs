//! What an outbound call costs before and after it is on the wire: the policy, the slots, the scan of the response.
//! Prints Markdown tables; `cargo bench -p webtask-host --bench outbound`.

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Instant};

use bytes::Bytes;
use webtask_host::scan::{Scan, Search};
use webtask_token::{Caveat, Claims, Keyring, Secret, SecretClaim, attenuate};

const NOW: u64 = 1_800_000_000;
const ROUNDS: usize = 501;
const GET: (&str, &str, &str, u16) = ("POST", "https", "api.stripe.com", 443);

/// Median and 90th percentile of one `work`, in nanoseconds.
fn measure(calls: u32, mut work: impl FnMut()) -> (f64, f64) {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..calls {
                work();
            }
            started.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or(0.0);
    (at(50), at(90))
}

fn row(name: &str, (median, high): (f64, f64)) {
    println!("| {name} | {median:.0} | {high:.0} |");
}

fn secrets() -> BTreeMap<String, SecretClaim> {
    let secret = |value: &str, slot: &str| SecretClaim {
        value: Secret::new(value.to_owned()),
        slots: vec![slot.parse().expect("a slot")],
    };
    let key = "sk_live_51H8xvU2eZvKYlo2CkQ7Zt9vK2mW4L8pYD6bN";
    let charge = "POST https://api.stripe.com/v1/charges authorization: Bearer {}";
    let sign = "POST https://api.stripe.com/v1/* x-signature: hmac-sha256:{}";
    [
        ("key".to_owned(), secret(key, charge)),
        ("sign".to_owned(), secret("whsec_9fK2mW4L8pYD6bN", sign)),
    ]
    .into()
}

fn policy(keyring: &Keyring) {
    let (method, scheme, host, port) = GET;
    let mut claims = Claims::new("https://code.example.com/charge.wasm", NOW);
    for n in 0..7 {
        let grant = format!("GET,POST https://api{n}.example.com/v1/*");
        claims.out.push(grant.parse().expect("a grant"));
    }
    let last = "POST https://api.stripe.com/v1/*".parse().expect("a grant");
    claims.out.push(last);
    let token = keyring.seal(&claims).expect("valid claims");
    let caveat = Caveat {
        out: Some(claims.out.clone()),
        ..Caveat::default()
    };
    let narrowed = attenuate(&token, &caveat).expect("valid");
    for (name, token) in [
        ("policy: the last of 8 grants", token),
        ("policy: that, and the last of 8 of a caveat", narrowed),
    ] {
        let opened = keyring.open(&token, NOW).expect("a good token");
        let rights = opened.rights();
        row(
            name,
            measure(1_000, || {
                let path = black_box("/v1/charges");
                assert!(black_box(
                    rights.allows_outbound(method, scheme, host, port, path)
                ));
            }),
        );
    }
}

fn slots(secrets: &BTreeMap<String, SecretClaim>) {
    let (method, scheme, host, port) = GET;
    let matching = |path: &str| {
        let slots = secrets.values().flat_map(|secret| &secret.slots);
        slots
            .filter(|slot| slot.matches(method, scheme, host, port, path))
            .count()
    };
    row(
        "slots: two, both match",
        measure(1_000, || assert_eq!(matching(black_box("/v1/charges")), 2)),
    );
    row(
        "slots: two, none matches",
        measure(1_000, || assert_eq!(matching(black_box("/v2/x")), 0)),
    );
    for (name, size) in [("key", 0), ("sign", 1 << 10)] {
        let Some(secret) = secrets.get(name) else {
            continue;
        };
        let body = vec![b'x'; size];
        for slot in &secret.slots {
            let text = format!("header: {}, a body of {size} bytes", slot.format);
            row(
                &text,
                measure(100, || {
                    drop(black_box(slot.format.render(&secret.value, &body)))
                }),
            );
        }
    }
}

fn scan(search: &Arc<Search>) {
    let fields: Vec<String> = (0..12)
        .map(|n| format!("value-{n}-of-a-field; max-age=31536000"))
        .collect();
    row(
        "scan: a head of 12 fields",
        measure(100, || {
            assert!(
                fields
                    .iter()
                    .all(|value| search.check(black_box(value.as_bytes())).is_ok())
            );
        }),
    );
    let line = "{\"id\":\"ch_3MmlLrLkdIwHu7ix0snN0B15\",\"object\":\"charge\",\"amount\":1099,\"livemode\":false},\n";
    for size in [1 << 10, 64 << 10] {
        let body: Bytes = line.repeat(size / line.len() + 1).into_bytes().into();
        let body = body.slice(..size);
        let times = measure(16, || {
            let mut scan = Scan::new(search.clone());
            black_box(scan.push(black_box(body.clone())).expect("no secret in it"));
            black_box(scan.end());
        });
        let rate = body.len() as f64 / times.0;
        row(
            &format!("scan: a body of {size} bytes ({rate:.2} bytes/ns)"),
            times,
        );
    }
}

fn main() {
    println!("| each call | p50 ns | p90 ns |\n|---|---|---|");
    policy(&Keyring::generate(None));
    let secrets = secrets();
    slots(&secrets);
    let making = measure(1, || drop(black_box(Search::new(&secrets))));
    scan(&Arc::new(Search::new(&secrets).expect("short secrets")));
    println!("\n| each invocation that calls such an origin | p50 ns | p90 ns |\n|---|---|---|");
    row("scan: made for two secrets", making);
}
