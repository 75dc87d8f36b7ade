//! Bodies: an echo of 64 KiB, an upload, and server-sent events.

use std::{io, path::Path, time::Duration};

use crate::{
    contest::{self, COLUMNS, Contestant, Rules},
    process::Cores,
    table::{self, Figures},
    targets,
    webtask::{Place, Serve, plain, request},
};

const ECHO: usize = 64 << 10;
/// As much as the limit `request-bytes` allows by default.
const UPLOAD: usize = 16 << 20;
/// Events of one answer.
const EVENTS: u32 = 999;

/// All three.
pub(crate) fn print(
    place: &Place,
    wasmtime: Option<&Path>,
    rounds: usize,
    seconds: f64,
    figures: &mut Figures,
) -> io::Result<()> {
    let cores = Cores::Apart;
    let (echo, upload, events) = (place.p2("echo")?, place.p2("upload")?, place.p2("events")?);
    let native = targets::native(cores, None)?;
    let webtask = place.serve("bodies", cores, &Serve::default())?;
    let plain_echo = targets::wasmtime(wasmtime, cores, &echo, &[]);
    let best_echo = targets::wasmtime(wasmtime, cores, &echo, targets::BEST);
    let rules = |connections| Rules {
        cores,
        connections,
        rounds,
        warm: Duration::from_secs_f64(seconds / 4.0),
        time: Duration::from_secs_f64(seconds),
        rate: None,
    };
    let mut run = |heading, about: &str, prefix, connections, contestants: Vec<Contestant<'_>>| {
        table::begin(heading, about, &COLUMNS);
        let scores = contest::contest(&contestants, &rules(connections))?;
        contest::print(prefix, &contestants, &scores, figures);
        io::Result::Ok(())
    };

    let body = vec![b'x'; ECHO];
    let to_native = vec![plain("POST /echo", "", &body)];
    let mut contestants = vec![Contestant {
        name: "native hyper",
        key: "native",
        process: &native,
        requests: to_native.clone(),
    }];
    for (name, key, process) in [
        ("`wasmtime serve`, default", "wasmtime", &plain_echo),
        ("`wasmtime serve`, best flags", "wasmtime-best", &best_echo),
    ] {
        if let Some(process) = process {
            contestants.push(Contestant {
                name,
                key,
                process,
                requests: to_native.clone(),
            });
        }
    }
    contestants.push(Contestant {
        name: "webtask, 0.2, SDK",
        key: "webtask",
        process: &webtask,
        requests: vec![request(&place.token(&echo, |_| {}), "POST /run", &body)],
    });
    let about = "64 KiB in and the same out; one core for the server, 32 connections.";
    run("Echo of 64 KiB", about, "echo", 32, contestants)?;

    let body = vec![b'x'; UPLOAD];
    let contestants = vec![
        Contestant {
            name: "native hyper",
            key: "native",
            process: &native,
            requests: vec![plain("POST /upload", "", &body)],
        },
        Contestant {
            name: "webtask, 0.2, SDK",
            key: "webtask",
            process: &webtask,
            requests: vec![request(&place.token(&upload, |_| {}), "POST /run", &body)],
        },
    ];
    let about = "16 MiB, read to the end and counted; one core for the server, 4 connections.";
    run("Upload of 16 MiB", about, "upload", 4, contestants)?;

    let path = format!("GET /run/countdown/end?from={EVENTS}&ms=0");
    let contestants = vec![
        Contestant {
            name: "native hyper",
            key: "native",
            process: &native,
            requests: vec![plain(&format!("GET /events/{EVENTS}"), "", b"")],
        },
        Contestant {
            name: "webtask, 0.2, SDK",
            key: "webtask",
            process: &webtask,
            requests: vec![request(&place.token(&events, |_| {}), &path, b"")],
        },
    ];
    let about = "999 events in each answer, each written by itself, with a sleep of 0 ms between; one core for the \
                 server, 32 connections.";
    run("Server-sent events", about, "events", 32, contestants)
}
