//! The warm request: hello, native and in every way that the runtime has.

use std::{io, path::Path, time::Duration};

use crate::{
    contest::{self, COLUMNS, Contestant, Rules},
    process::{Cores, Process},
    table::{self, Figures, number},
    targets,
    webtask::{Place, Serve, bound, caveats, plain, request},
};

/// A rate that every target but the slowest keeps up with on one core.
const RATE: u32 = 8_000;

/// The servers of a contest, each started when it is made.
struct Servers {
    native: Process,
    node: Option<Process>,
    wasmtime: Option<Process>,
    wasmtime_best: Option<Process>,
    wasmtime_p3: Option<Process>,
    engine: Process,
    /// The same with a runtime for each core, where there are several.
    engines: Option<Process>,
    webtask: Process,
    /// What webtasks call; on the core of the load.
    origin: Process,
}

impl Servers {
    fn start(place: &Place, wasmtime: Option<&Path>, cores: Cores) -> io::Result<Self> {
        let bare = place.p2("bare")?;
        let p3 = [
            targets::BEST,
            &[
                "-Sp3",
                "-Wcomponent-model-async=y",
                "--max-instance-reuse-count=1",
            ],
        ]
        .concat();
        Ok(Self {
            native: targets::native(cores, None)?,
            node: targets::node(cores),
            wasmtime: targets::wasmtime(wasmtime, cores, &bare, &[]),
            wasmtime_best: targets::wasmtime(wasmtime, cores, &bare, targets::BEST),
            wasmtime_p3: targets::wasmtime(wasmtime, cores, &place.p3("bare")?, &p3),
            engine: targets::engine(cores, &bare, &[])?,
            engines: match cores {
                Cores::Apart => None,
                Cores::All => Some(targets::engine(cores, &bare, &["--each-core"])?),
            },
            webtask: place.serve("hello", cores, &of_one_token())?,
            origin: targets::native(Cores::All, None)?,
        })
    }
}

/// One token asks for more at a time than it may by default: a run of WASI 0.3 goes on after its answer is out.
fn of_one_token() -> Serve<'static> {
    Serve {
        limits: "tenant-invocations = 500\ntoken-invocations = 500",
        ..Serve::default()
    }
}

/// Both contests.
pub(crate) fn print(
    place: &Place,
    wasmtime: Option<&Path>,
    rounds: usize,
    seconds: f64,
    figures: &mut Figures,
) -> io::Result<()> {
    let rules = Rules {
        cores: Cores::Apart,
        connections: 32,
        rounds,
        warm: Duration::from_secs_f64(seconds / 4.0),
        time: Duration::from_secs_f64(seconds),
        rate: Some(RATE),
    };
    let about = format!(
        "The server on one core, the load on the other, 32 connections; medians of {rounds} rounds in turn, each of \
         {seconds} s and as long at {RATE} requests a second (\"paced\", counted from when a request was due)."
    );
    table::begin("Hello, one core", &about, &COLUMNS);
    let servers = Servers::start(place, wasmtime, Cores::Apart)?;
    one(place, &servers, "one", &rules, true, figures)?;
    own_cost(place, figures)?;
    drop(servers);
    let rules = Rules {
        cores: Cores::All,
        connections: 64,
        rate: None,
        ..rules
    };
    let about = format!(
        "The server and the load on both cores, 64 connections; medians of {rounds} rounds in turn."
    );
    table::begin("Hello, two cores", &about, &COLUMNS);
    let servers = Servers::start(place, wasmtime, Cores::All)?;
    one(place, &servers, "two", &rules, false, figures)
}

fn one(
    place: &Place,
    servers: &Servers,
    prefix: &str,
    rules: &Rules,
    all: bool,
    figures: &mut Figures,
) -> io::Result<()> {
    let hello = vec![plain("GET /", "", b"")];
    let mut contestants = vec![Contestant {
        name: "native hyper",
        key: "native",
        process: &servers.native,
        requests: hello.clone(),
    }];
    let others = [
        ("Node, plain", "node", &servers.node),
        ("`wasmtime serve`, default", "wasmtime", &servers.wasmtime),
        (
            "`wasmtime serve`, best flags",
            "wasmtime-best",
            &servers.wasmtime_best,
        ),
        (
            "`wasmtime serve`, best flags, 0.3",
            "wasmtime-p3",
            &servers.wasmtime_p3,
        ),
    ];
    for (name, key, process) in others {
        if let Some(process) = process {
            contestants.push(Contestant {
                name,
                key,
                process,
                requests: hello.clone(),
            });
        }
    }
    contestants.push(Contestant {
        name: "the engine alone, 0.2",
        key: "engine",
        process: &servers.engine,
        requests: hello.clone(),
    });
    if let Some(process) = &servers.engines {
        contestants.push(Contestant {
            name: "the engine alone, 0.2, a runtime for each core",
            key: "engines",
            process,
            requests: hello,
        });
    }
    let bare = place.token(&place.p2("bare")?, |_| {});
    let sdk = place.token(&place.p2("hello")?, |_| {});
    let p3 = place.token(&place.p3("bare")?, |_| {});
    let origin = servers.origin.address;
    let relay = place.token(&place.p2("relay")?, |claims| bound(claims, origin));
    let (one, four) = (caveats(&bare, 1), caveats(&bare, 4));
    let get = |token: &str| vec![request(token, "GET /run", b"")];
    let call = request(&relay, &format!("GET /run?url=http://{origin}/hello"), b"");
    let mut own = vec![
        ("webtask, 0.2, raw bindings", "webtask", get(&bare)),
        ("webtask, 0.2, SDK", "sdk", get(&sdk)),
        ("webtask, 0.3, raw bindings", "p3", get(&p3)),
    ];
    if all {
        own.extend([
            ("webtask, 0.2, 1 caveat", "caveat", get(&one)),
            ("webtask, 0.2, 4 caveats", "caveats", get(&four)),
            (
                "webtask, 0.2, SDK, a call with a bound secret",
                "outbound",
                vec![call],
            ),
        ]);
    }
    for (name, key, requests) in own {
        contestants.push(Contestant {
            name,
            key,
            process: &servers.webtask,
            requests,
        });
    }
    let scores = contest::contest(&contestants, rules)?;
    contest::print(prefix, &contestants, &scores, figures);
    Ok(())
}

/// What opening a token is of that.
fn own_cost(place: &Place, figures: &mut Figures) -> io::Result<()> {
    let bare = place.p2("bare")?;
    let small = place.token(&bare, |_| {});
    let large = place.token(&bare, |claims| {
        bound(claims, ([127, 0, 0, 1], 8_080).into());
        let params = (0..10).map(|n| {
            (
                format!("parameter-{n}"),
                "a value of some length".to_owned(),
            )
        });
        claims.params.extend(params);
    });
    let columns = ["token", "bytes", "µs"];
    table::begin(
        "Open a token",
        "In a process of its own, without HTTP; the median of many.",
        &columns,
    );
    let tokens = [
        ("of hello", "small", small.clone()),
        ("of hello, 4 caveats", "small-caveats", caveats(&small, 4)),
        (
            "with secret, grant and 10 parameters, 1 caveat",
            "large",
            caveats(&large, 1),
        ),
    ];
    for (name, key, token) in tokens {
        let took = place.opening(&token);
        table::row(&[name.to_owned(), token.len().to_string(), number(took)]);
        figures.insert(format!("open.{key}"), took);
    }
    Ok(())
}
