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
    let json = "{\"id\":\"ch_3MmlLrLkdIwHu7ix0snN0B15\",\"object\":\"charge\",\"amount\":1099,\"livemode\":false},\n";
    let html = "<p class=\"a\"><a href=\"/x?y=1&amp;z=2\">Tom &amp; Jerry</a> said &#39;ok&#39; to all of them</p>\n";
    for (name, text, size) in [
        ("JSON", json, 1 << 10),
        ("JSON", json, 64 << 10),
        ("HTML", html, 64 << 10),
        ("escapes", "\\u0073%5Cu006b", 64 << 10),
    ] {
        let body: Bytes = text.repeat(size / text.len() + 1).into_bytes().into();
        let body = body.slice(..size);
        let times = measure(16, || scan_in(search, &body, size));
        let rate = body.len() as f64 / times.0;
        row(
            &format!("scan: {name}, {size} bytes ({rate:.2} bytes/ns)"),
            times,
        );
    }
}

/// The same bytes in one piece and in many: what a byte costs must not grow with what is held back.
fn pieces(search: &Arc<Search>) {
    let body: Bytes = vec![b'x'; 1 << 20].into();
    println!("\n| a mebibyte in pieces of | ms | times that of one piece |\n|---|---|---|");
    let mut whole = 0.0;
    for size in [1 << 20, 1 << 14, 1 << 10, 16, 1] {
        let mut times: Vec<_> = (0..21)
            .map(|_| {
                let started = Instant::now();
                scan_in(search, &body, size);
                started.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
        if whole == 0.0 {
            whole = median;
        }
        println!("| {size} bytes | {median:.1} | {:.1} |", median / whole);
    }
}

fn scan_in(search: &Arc<Search>, body: &Bytes, size: usize) {
    let mut scan = Scan::new(search.clone());
    for from in (0..body.len()).step_by(size) {
        let piece = body.slice(from..body.len().min(from + size));
        black_box(scan.push(black_box(piece)).expect("no secret in it"));
    }
    black_box(scan.end());
}

/// As much as a token of 8 KiB holds, with the slots that cost most.
fn a_whole_token(count: usize) -> BTreeMap<String, SecretClaim> {
    let secret = |n: usize| SecretClaim {
        value: Secret::new(format!("{n:04}-{}", "v/".repeat(2_500 / count))),
        slots: vec!["GET https://h.test/ a: basic:u".parse().expect("a slot")],
    };
    (0..count).map(|n| (format!("{n}"), secret(n))).collect()
}

fn main() {
    println!("| each call | p50 ns | p90 ns |\n|---|---|---|");
    policy(&Keyring::generate(None));
    let secrets = secrets();
    slots(&secrets);
    let search = Arc::new(Search::new(&secrets).expect("few secrets"));
    scan(&search);
    println!("\n| each invocation that calls such an origin | p50 ns | p90 ns |\n|---|---|---|");
    let name = "scan: made for two secrets";
    row(name, measure(1, || drop(black_box(Search::new(&secrets)))));
    for count in [1, 20, 150] {
        let secrets = a_whole_token(count);
        let memory = Search::new(&secrets).expect("fits").memory() >> 10;
        row(
            &format!("scan: made for a token full of secrets, {count} ({memory} KiB)"),
            measure(1, || drop(black_box(Search::new(&secrets)))),
        );
    }
    pieces(&search);
}
