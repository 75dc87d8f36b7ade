//! Many tenants: ten thousand tokens over a thousand components, against one of each.

use std::{io, time::Duration};

use crate::{
    answer::{connect, once},
    contest::{self, COLUMNS, Contestant, Rules},
    process::Cores,
    table::{self, Figures, mib, number},
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
    let compiling = place.serve("compiling", Cores::All, &with)?;
    touch(&compiling, &requests)?;
    drop(compiling);

    // Another process: what compiling left in its memory is not what a component takes.
    let server = place.serve("mixed", Cores::Apart, &with)?;
    let one = request(&place.token(&bare, |_| {}), "GET /run", b"");
    touch(&server, std::slice::from_ref(&one))?;
    let before = server.memory();
    touch(&server, &requests)?;
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

/// One request for each component, four at a time.
fn touch(server: &crate::process::Process, requests: &[Vec<u8>]) -> io::Result<()> {
    let first = requests.get(..COMPONENTS).unwrap_or(requests);
    let each = first.len().div_ceil(4);
    std::thread::scope(|scope| {
        let threads = first.chunks(each).map(|requests| {
            scope.spawn(move || {
                let mut stream = connect(server.address)?;
                requests
                    .iter()
                    .try_for_each(|request| once(&mut stream, request).map(drop))
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    })
}
