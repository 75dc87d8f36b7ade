//! Cold starts of four kinds: code that was never seen, that is on disk, that is in memory, and a process that has
//! just started.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    answer::{connect, once},
    process::{Cores, Process},
    table::{self, Figures, number, percentile},
    targets,
    webtask::{Component, Place, Serve, request},
};

/// Components of each kind.
const EACH: usize = 40;
/// Between unseen components.
const PAUSE: Duration = Duration::from_millis(300);
/// Starts of a process.
const STARTS: usize = 7;

/// A row for each kind.
pub(crate) fn print(place: &Place, figures: &mut Figures) -> io::Result<()> {
    let hello = place.p2("hello")?;
    let directory = place.own("cold");
    std::fs::create_dir_all(&directory)?;
    let made = (0..EACH).map(|number| hello.another(number, &directory));
    let made = made.collect::<io::Result<Vec<_>>>()?;
    let origin = targets::native(Cores::All, Some(&directory))?;
    let cache = place.own("cold-cache");
    let with = Serve {
        cache: Some(&cache),
        code: Some(origin.address),
        ..Serve::default()
    };
    let asks: Vec<_> = made
        .iter()
        .map(|component| ask(place, component, origin.address))
        .collect();
    let warm = request(&place.token(&hello, |_| {}), "GET /run", b"");

    let server = place.serve("cold", Cores::All, &with)?;
    let mut unseen = Vec::new();
    let mut memory = Vec::new();
    // The engine has run something, and the process of the compiler was there once.
    first(&server, &warm)?;
    for ask in &asks {
        // As somebody who is not in line behind others: a compiler is at hand again.
        std::thread::sleep(PAUSE);
        unseen.push(micros(first(&server, ask)?));
    }
    for ask in &asks {
        memory.push(micros(first(&server, ask)?));
    }
    drop(server);

    let server = place.serve("cold-again", Cores::All, &with)?;
    first(&server, &warm)?;
    let mut disk = Vec::new();
    for ask in &asks {
        disk.push(micros(first(&server, ask)?));
    }
    drop(server);

    let (mut listens, mut answers) = (Vec::new(), Vec::new());
    for start in 0..STARTS {
        let started = Instant::now();
        let server = place.serve(&format!("start-{start}"), Cores::All, &with)?;
        listens.push(micros(started.elapsed()));
        first(&server, &warm)?;
        answers.push(micros(started.elapsed()));
    }

    let about = format!(
        "The time of one request over a new connection, hello over the SDK ({} bytes), on both cores. Unseen code is fetched over \
         HTTP, checked, compiled in a process of its own and run.",
        std::fs::metadata(&hello.path)?.len()
    );
    table::begin(
        "Cold starts",
        &about,
        &["code", "p50 ms", "p90 ms", "times"],
    );
    for (name, key, times) in [
        (
            "never seen: fetch, verify, compile, run",
            "unseen",
            &mut unseen,
        ),
        ("compiled, on disk", "disk", &mut disk),
        ("in memory", "memory", &mut memory),
        ("process started: it listens", "listens", &mut listens),
        (
            "process started: first answer, code on disk",
            "answers",
            &mut answers,
        ),
    ] {
        let (middle, late) = (percentile(times, 0.5), percentile(times, 0.9));
        let cells = [middle / 1e3, late / 1e3].map(number);
        table::row(&[
            name.to_owned(),
            cells[0].clone(),
            cells[1].clone(),
            times.len().to_string(),
        ]);
        figures.insert(format!("cold.{key}"), middle / 1e3);
    }
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A request with a token whose code is at `origin`.
fn ask(place: &Place, component: &Component, origin: SocketAddr) -> Vec<u8> {
    let name = component
        .path
        .file_name()
        .unwrap_or_default()
        .display()
        .to_string();
    let token = place.token(component, |claims| {
        claims.url = format!("http://{origin}/code/{name}");
    });
    request(&token, "GET /run", b"")
}

fn first(server: &Process, ask: &[u8]) -> io::Result<Duration> {
    once(&mut connect(server.address)?, ask)
}
