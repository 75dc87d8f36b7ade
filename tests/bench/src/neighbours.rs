//! A polite tenant beside a hostile one, on one core.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    answer::connect,
    load::{self, Pace, Plan},
    process::{Cores, load_on, spawn_on},
    table::{self, Figures, median, number},
    webtask::{Place, Serve, request},
};

/// Requests of the polite tenant in a second.
const RATE: u32 = 500;
/// Hostile callers that come again at once.
const CALLERS: usize = 32;

/// Who computes on the core of the server: its name, callers that make guests spin, and whether it is a program of its
/// own.
const BESIDE: [(&str, usize, bool); 3] = [
    ("nobody", 0, false),
    ("a program at the niceness of the heavy lane", 0, true),
    ("spinning guests", CALLERS, false),
];
/// The niceness of the heavy lane.
const NICE: &str = "10";

/// A program that computes on the core of servers until this is dropped.
struct Busy(Child);

impl Busy {
    fn start() -> io::Result<Self> {
        let mut command = Command::new("nice");
        command.args(["-n", NICE, "sh", "-c", "while :; do :; done"]);
        spawn_on(Cores::Apart, &mut command).map(Self)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Rounds of all, in turn.
pub(crate) fn print(
    place: &Place,
    rounds: usize,
    seconds: f64,
    figures: &mut Figures,
) -> io::Result<()> {
    let server = place.serve("neighbours", Cores::Apart, &Serve::default())?;
    let polite = [request(
        &place.token(&place.p2("hello")?, |_| {}),
        "GET /run",
        b"",
    )];
    let spin = place.token(&place.p2("spin")?, |claims| {
        claims.tenant = "hostile".to_owned()
    });
    let spin = request(&spin, "GET /run", b"");
    let plan = Plan {
        address: server.address,
        requests: &polite,
        connections: 16,
        pace: Pace::Rate(RATE),
        spins: true,
        warm: Duration::from_secs_f64(seconds / 4.0),
        time: Duration::from_secs_f64(seconds),
    };
    load_on(Cores::Apart);
    let mut times = [const { [const { Vec::new() }; 2] }; BESIDE.len()];
    for round in 0..rounds {
        eprintln!("round {} of {rounds}: neighbours", round + 1);
        for ((_, callers, program), times) in BESIDE.iter().zip(&mut times) {
            let over = AtomicBool::new(*callers == 0);
            let _program = program.then(Busy::start).transpose()?;
            let outcome = std::thread::scope(|scope| {
                for _ in 0..*callers {
                    scope.spawn(|| annoy(server.address, &spin, &over));
                }
                let outcome = load::run(&plan, || server.cpu());
                over.store(true, Relaxed);
                outcome
            })?;
            times[0].push(outcome.at(50.0));
            times[1].push(outcome.at(99.0));
            server.forget();
        }
    }
    let about = format!(
        "One core for the server; {RATE} requests a second to hello, alone and beside {CALLERS} callers of a guest of another \
         tenant that spins until its CPU time is over; between them beside a loop of the shell at niceness {NICE}, which is what \
         the system itself makes of a neighbour; medians of {rounds} rounds in turn."
    );
    table::begin(
        "Hostile neighbours",
        &about,
        &["beside", "p50 µs", "p99 µs"],
    );
    let medians = times
        .each_mut()
        .map(|times| times.each_mut().map(|times| median(times)));
    for ((name, ..), [middle, late]) in BESIDE.iter().zip(medians) {
        table::row(&[(*name).to_owned(), number(middle), number(late)]);
    }
    figures.insert("neighbours.p99".to_owned(), medians[2][1] / medians[0][1]);
    Ok(())
}

/// Asks again and again, and does not care for answers.
fn annoy(address: SocketAddr, ask: &[u8], over: &AtomicBool) {
    let mut buffer = [0; 4_096];
    while !over.load(Relaxed) {
        let Ok(mut stream) = connect(address) else {
            return;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        let _ = stream.write_all(ask);
        let _ = stream.read(&mut buffer);
    }
}
