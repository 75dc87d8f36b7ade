//! The soak: the whole hostile corpus against one real server process, beside a polite tenant's steady load.
//!
//! `make soak`, or `make soak SECONDS=60`. It owns its processes, its directory and the loopback addresses
//! 127.0.0.1 to 127.0.0.6, and ends with 1 if the server died or leaked, or if a polite request was lost.

#[path = "../../host/tests/all/bombs.rs"]
mod bombs;
mod caller;
mod corpus;
mod hostile;
mod network;
mod polite;
mod report;
mod server;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use corpus::Place;
use hostile::Hostile;
use report::Report;
use server::Server;
use webtask_tests::examples;

/// What the command line says.
struct Arguments {
    seconds: u64,
    rate: u32,
    binary: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let mut said = Arguments {
        seconds: 600,
        rate: 50,
        binary: server::beside_this_program(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| {
            text.parse::<u64>()
                .map_err(|_| format!("{text} is no number"))
        };
        match word.as_str() {
            // Cargo says so to every bench.
            "--bench" => {}
            "--binary" => said.binary = value()?.into(),
            "--rate" => said.rate = number(value()?)?.clamp(1, 1_000) as u32,
            "--seconds" => said.seconds = number(value()?)?.clamp(10, 3_600),
            other => return Err(format!("{other} is not --seconds, --rate or --binary")),
        }
    }
    Ok(said)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let report = runtime.block_on(soak(&arguments));
    println!("{report}");
    match report.failures().as_slice() {
        [] => ExitCode::SUCCESS,
        failures => {
            eprintln!("failed: {}", failures.join("; "));
            ExitCode::FAILURE
        }
    }
}

async fn soak(arguments: &Arguments) -> Report {
    let place = Place::start().await;
    let server = Arc::new(Server::start(&arguments.binary, &place).await);
    let token = server.seal("polite", examples::HELLO, |_| {});
    let beside = Duration::from_secs(arguments.seconds);
    let alone = beside / 10;
    // All places taken more often than that would be what the 99th percentile tells, and nothing else.
    let crowd = (beside / 10).max(Duration::from_secs(60));
    let load = |time| polite::start(server.address, token.clone(), arguments.rate, time);

    // What is refused as one too many is not warm, so the corpus is called thrice, and for half of the time:
    // then the cache of compiled code is as full as it gets.
    eprintln!("warm-up: the whole corpus");
    let mut hostile = Hostile::start(&server, &place, crowd);
    let warm = Instant::now();
    let (least, most) = (beside / 2, Duration::from_secs(300));
    while server.lives()
        && warm.elapsed() < most
        && !(hostile.all_called() && warm.elapsed() > least)
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let whole = hostile.all_called();
    hostile.stop().await;
    quiet(&server).await;
    eprintln!("warm after {:?}; alone for {alone:?}", warm.elapsed());
    // A request that is not counted: what it needs is loaded.
    load(Duration::from_secs(2)).await;
    let alone = load(alone).await;
    let start = server.rss();

    eprintln!("beside all of it for {beside:?}");
    let (counted, logged) = (server.counted().await, server.lines.load(Relaxed));
    server.forget_peak();
    let mut hostile = Hostile::start(&server, &place, crowd);
    let beside = load(beside).await;
    let answers = hostile.answers();
    hostile.stop().await;
    let peak = server.peak();

    eprintln!("quiet");
    let quiet_after = quiet(&server).await;
    let (end, settled) = settle(&server, start).await;
    let load_average = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Report {
        rate: arguments.rate,
        alone,
        beside,
        counted: server.counted().await.since(&counted),
        answers,
        start,
        peak,
        end,
        settled,
        quiet_after,
        whole,
        lives: server.lives(),
        lines: server.lines.load(Relaxed) - logged,
        alarms: server.alarms(),
        load_average: load_average.trim().to_owned(),
    }
}

/// Waits until nothing runs and nobody is connected; how long that took, `None` if it never was so.
async fn quiet(server: &Server) -> Option<Duration> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        let counted = server.counted().await;
        let (running, open) = (
            counted.one("webtask_invocations"),
            counted.one("webtask_connections"),
        );
        if (running, open) == (Some(0), Some(0)) {
            return Some(started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    None
}

/// Watches the memory for a minute, or until it is back; the last reading, and when that was.
async fn settle(server: &Server, start: u64) -> (u64, Duration) {
    let started = Instant::now();
    loop {
        let now = server.rss();
        let took = started.elapsed();
        if report::is_back(start, now) || took > Duration::from_secs(60) {
            return (now, took);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
