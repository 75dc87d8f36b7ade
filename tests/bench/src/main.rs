//! What the runtime costs, as Markdown tables: `make bench`, or `make bench ONLY=hello ROUNDS=3`.
//!
//! Every server is a process of its own on loopback. Nothing here passes or fails: the tables are for people, and for
//! `docs/performance.md`.

mod answer;
mod bodies;
mod calls;
mod cold;
mod contest;
mod density;
mod goals;
mod hello;
mod load;
mod mixed;
mod neighbours;
mod process;
mod table;
mod targets;
mod webtask;

use std::{io, path::PathBuf, process::ExitCode};

use table::Figures;
use webtask::Place;

/// All tables, in the order in which they are printed.
const TABLES: [&str; 7] = [
    "hello",
    "bodies",
    "mixed",
    "cold",
    "neighbours",
    "calls",
    "density",
];

/// What the command line says.
struct Arguments {
    only: Vec<String>,
    rounds: usize,
    seconds: f64,
    root: PathBuf,
    binary: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let beside = std::env::current_exe().unwrap_or_default();
    let mut said = Arguments {
        only: Vec::new(),
        rounds: 5,
        seconds: 1.5,
        root: "target/bench".into(),
        binary: beside.with_file_name("webtask"),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let bad = || format!("{word} {value}: not a number");
        match word.as_str() {
            "--binary" => said.binary = value.into(),
            "--only" => said.only = value.split(',').map(str::to_owned).collect(),
            "--root" => said.root = value.into(),
            "--rounds" => said.rounds = value.parse().map_err(|_| bad())?,
            "--seconds" => said.seconds = value.parse().map_err(|_| bad())?,
            other => {
                return Err(format!(
                    "{other} is not --only, --rounds, --seconds, --binary or --root"
                ));
            }
        }
    }
    match said
        .only
        .iter()
        .find(|name| !TABLES.contains(&name.as_str()))
    {
        Some(name) => Err(format!("no table {name}; there are {}", TABLES.join(", "))),
        None => Ok(said),
    }
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match bench(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> io::Result<()> {
    let Arguments {
        rounds, seconds, ..
    } = *arguments;
    let root = arguments.root.canonicalize()?;
    let place = Place::new(&root, arguments.binary.canonicalize()?)?;
    let wasmtime = targets::wasmtime_at(&root);
    let wasmtime = wasmtime.as_deref();
    let mut figures = Figures::new();
    about();
    for table in TABLES {
        if !arguments.only.is_empty() && !arguments.only.iter().any(|only| only == table) {
            continue;
        }
        match table {
            "hello" => hello::print(&place, wasmtime, rounds, seconds, &mut figures)?,
            "bodies" => bodies::print(&place, wasmtime, rounds, seconds, &mut figures)?,
            "mixed" => mixed::print(&place, rounds, seconds, &mut figures)?,
            "cold" => cold::print(&place, &mut figures)?,
            "neighbours" => neighbours::print(&place, rounds, seconds, &mut figures)?,
            "calls" => calls::print(&place, &mut figures)?,
            _ => density::print(&place, &mut figures)?,
        }
    }
    goals::print(&figures);
    about();
    Ok(())
}

/// How busy the machine is: before and after, for who reads the figures.
fn about() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("", |model| model.trim_start_matches(['\t', ' ', ':']));
    let cores = info
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    println!(
        "\n{model}, {cores} cores, Linux {}; load {}",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim()
    );
}
