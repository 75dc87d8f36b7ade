//! A contest: several servers under the same load, in turn, round after round, so that all meet the same machine.

use std::{io, time::Duration};

use crate::{
    answer::{connect, once},
    load::{self, Outcome, Pace, Plan},
    process::{Cores, Process, load_on},
    table::{Figures, median, mib, number, row},
};

/// One server and what it is asked.
pub(crate) struct Contestant<'a> {
    /// What the table calls it.
    pub(crate) name: &'a str,
    /// What the figures call it.
    pub(crate) key: &'a str,
    pub(crate) process: &'a Process,
    pub(crate) requests: Vec<Vec<u8>>,
}

/// How a contest goes.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) cores: Cores,
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    pub(crate) warm: Duration,
    pub(crate) time: Duration,
    /// A second run in each round, at this rate.
    pub(crate) rate: Option<u32>,
}

/// The medians of one contestant.
pub(crate) struct Score {
    pub(crate) rate: f64,
    pub(crate) cpu: f64,
    /// p50 and p99 of the closed loop, in microseconds.
    pub(crate) closed: [f64; 2],
    /// p50, p99 and p99.9 at the fixed rate.
    pub(crate) paced: [f64; 3],
}

/// All rounds; a score for each contestant.
pub(crate) fn contest(contestants: &[Contestant<'_>], rules: &Rules) -> io::Result<Vec<Score>> {
    load_on(rules.cores);
    let mut rounds: Vec<Vec<(Outcome, Option<Outcome>)>> =
        contestants.iter().map(|_| Vec::new()).collect();
    // What is compiled for the first request is not what this is about.
    for contestant in contestants {
        let request = contestant.requests.first().map_or(&[][..], Vec::as_slice);
        once(&mut connect(contestant.process.address)?, request)?;
    }
    for round in 0..rules.rounds {
        for (contestant, outcomes) in contestants.iter().zip(&mut rounds) {
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                rules.rounds,
                contestant.name
            );
            let plan = |pace| Plan {
                address: contestant.process.address,
                requests: &contestant.requests,
                connections: rules.connections,
                pace,
                spins: rules.cores == Cores::Apart,
                warm: rules.warm,
                time: rules.time,
            };
            let run = |pace| {
                let done = load::run(&plan(pace), || contestant.process.cpu());
                contestant.process.forget();
                done.map_err(|error| io::Error::other(format!("{}: {error}", contestant.name)))
            };
            let closed = run(Pace::Closed)?;
            // What nobody can keep up with tells nothing: at most two thirds of what it does.
            let most = (closed.rate() * 0.67) as u32;
            let paced = rules.rate.filter(|rate| *rate <= most);
            outcomes.push((closed, paced.map(Pace::Rate).map(run).transpose()?));
        }
    }
    Ok(rounds.iter().map(|outcomes| score(outcomes)).collect())
}

fn score(outcomes: &[(Outcome, Option<Outcome>)]) -> Score {
    let of = |value: &dyn Fn(&Outcome) -> f64| {
        median(
            &mut outcomes
                .iter()
                .map(|(closed, _)| value(closed))
                .collect::<Vec<_>>(),
        )
    };
    let paced = |at: f64| {
        let paced = outcomes.iter().filter_map(|(_, paced)| paced.as_ref());
        median(&mut paced.map(|paced| paced.at(at)).collect::<Vec<_>>())
    };
    Score {
        rate: of(&Outcome::rate),
        cpu: of(&Outcome::cpu),
        closed: [
            of(&|outcome| outcome.at(50.0)),
            of(&|outcome| outcome.at(99.0)),
        ],
        paced: [paced(50.0), paced(99.0), paced(99.9)],
    }
}

/// The columns that [`print()`] fills.
pub(crate) const COLUMNS: [&str; 11] = [
    "target",
    "req/s",
    "× native",
    "CPU µs",
    "× native",
    "p50 µs",
    "p99 µs",
    "paced p50",
    "p99",
    "p99.9 µs",
    "RSS MiB",
];

/// Prints the rows, with the first contestant as native, and keeps the figures below `prefix`.
pub(crate) fn print(
    prefix: &str,
    contestants: &[Contestant<'_>],
    scores: &[Score],
    figures: &mut Figures,
) {
    let Some(native) = scores.first() else { return };
    for (contestant, score) in contestants.iter().zip(scores) {
        let mut cells = vec![
            contestant.name.to_owned(),
            number(score.rate),
            number(score.rate / native.rate),
            number(score.cpu),
            number(score.cpu / native.cpu),
        ];
        cells.extend(score.closed.iter().chain(&score.paced).map(|n| number(*n)));
        cells.push(mib(contestant.process.memory().resident));
        row(&cells);
        let mut keep = |name: &str, value| {
            figures.insert(format!("{prefix}.{}.{name}", contestant.key), value);
        };
        keep("rate", score.rate);
        keep("cpu", score.cpu);
    }
}
