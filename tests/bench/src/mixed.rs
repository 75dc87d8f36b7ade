//! Many tenants: ten thousand tokens over a thousand components, against one of each.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    answer::{connect, once},
    contest::{self, COLUMNS, Contestant, Rules},
    process::{Cores, Process},
    table::{self, Figures, mib, number, percentile},
    webtask::{Component, Place, Serve, request},
};

const COMPONENTS: usize = 1_000;
const TOKENS: usize = 10_000;

/// The contest, and what the components take.
pub(crate) fn print(
    place: &Place,
    rounds: usize,
    seconds: f64,
    figures: &mut Figures,
) -> io::Result<()> {
    let bare = place.p2("bare")?;
    let made = (0..COMPONENTS).map(|number| bare.another(number, &place.made));
    let made = made.collect::<io::Result<Vec<Component>>>()?;
    let tokens = (0..TOKENS).map(|number| {
        place.token(&made[number % COMPONENTS], |claims| {
            claims.tenant = format!("tenant-{}", number % 97);
        })
    });
    let requests: Vec<_> = tokens
        .map(|token| request(&token, "GET /run", b""))
        .collect();
    let with = Serve {
        cache: Some(&place.cache),
        ..Serve::default()
    };
    eprintln!("compiling {COMPONENTS} components, but for those of an earlier run");
    place.warm(&made)?;
    // A process that starts again finds them in the memory of the system; what was idle for long it may have let go of.
    for file in std::fs::read_dir(&place.cache)? {
        let path = file?.path();
        if path.is_file() {
            drop(std::fs::read(path)?);
        }
    }
    let server = place.serve("mixed", Cores::Apart, &with)?;
    let one = request(&place.token(&bare, |_| {}), "GET /run", b"");
    first_answers(&server, std::slice::from_ref(&one))?;
    let before = server.memory();
    let mut first = first_answers(&server, requests.get(..COMPONENTS).unwrap_or(&requests))?;
    let after = server.memory();
    let contestants = [
        Contestant {
            name: "one token, one component",
            key: "one",
            process: &server,
            requests: vec![one],
        },
        Contestant {
            name: "10,000 tokens, 1,000 components, 97 tenants",
            key: "many",
            process: &server,
            requests,
        },
    ];
    let rules = Rules {
        cores: Cores::Apart,
        connections: 32,
        rounds,
        warm: Duration::from_secs_f64(seconds / 4.0),
        time: Duration::from_secs_f64(seconds),
        rate: Some(8_000),
    };
    let about = "One core for the server, 32 connections, every request another token; \"native\" is the first row here.";
    table::begin("Mixed tenants", about, &COLUMNS);
    let scores = contest::contest(&contestants, &rules)?;
    contest::print("mixed", &contestants, &scores, figures);
    if let [one, many] = scores.as_slice() {
        figures.insert("mixed.latency".to_owned(), many.closed[0] / one.closed[0]);
    }
    table::begin(
        "First answers after a restart",
        "A process that has just started, and 1,000 components that `webtask warm` compiled into its cache directory, which \
         the system has in its page cache, each called once over one connection.",
        &["p50 ms", "p99 ms", "longest ms"],
    );
    let mut ms = |share| number(percentile(&mut first, share) / 1e3);
    table::row(&[ms(0.5), ms(0.99), ms(1.0)]);
    let columns = ["memory", "MiB", "KiB for each of 1,000 components"];
    table::begin(
        "What a component takes in memory",
        "Loaded from the cache on disk, each called once.",
        &columns,
    );
    for (name, before, after) in [
        ("resident", before.resident, after.resident),
        ("anonymous", before.anonymous, after.anonymous),
    ] {
        let each = after.saturating_sub(before) as f64 / 1024.0 / COMPONENTS as f64;
        table::row(&[name.to_owned(), mib(after), number(each)]);
        figures.insert(format!("mixed.{name}"), each);
    }
    Ok(())
}

/// The times of one request for each component, in microseconds.
fn first_answers(server: &Process, requests: &[Vec<u8>]) -> io::Result<Vec<f64>> {
    let mut stream = connect(server.address)?;
    let mut time = |request: &Vec<u8>| {
        let started = Instant::now();
        once(&mut stream, request)?;
        Ok(started.elapsed().as_secs_f64() * 1e6)
    };
    requests.iter().map(&mut time).collect()
}
