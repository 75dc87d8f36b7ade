//! Density: how many live instances fit, each parked in a wait, and what each takes.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::{
    answer::connect,
    process::{Cores, Memory, Process},
    table::{self, Figures, mib, number},
    webtask::{Place, Serve, request},
};

/// After that nothing more is coming.
const PATIENCE: Duration = Duration::from_secs(20);

/// A row for each number of instances.
pub(crate) fn print(place: &Place, figures: &mut Figures) -> io::Result<()> {
    let columns = [
        "parked instances",
        "alive",
        "RSS MiB",
        "KiB each",
        "anonymous KiB each",
        "mappings",
        "mappings each",
        "seconds to start",
    ];
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let about = format!(
        "`park` waits an hour. Limits: `invocations` and those of tenant and token as many as asked for, `memories = 1`, \
         `instances = 8`, `tables = 2`. vm.max_map_count is {}. \"Each\" is the difference to the same connections without a request.",
        most.trim()
    );
    table::begin("Density", &about, &columns);
    for many in [1, 100, 1_000, 10_000] {
        one(place, many, figures)?;
    }
    Ok(())
}

fn one(place: &Place, many: usize, figures: &mut Figures) -> io::Result<()> {
    let limits = format!(
        "invocations = {0}\ntenant-invocations = {0}\ntoken-invocations = {0}\nconnections = {1}\nwall = \"20m\"\n\
         head = \"10m\"\nmemories = 1\ninstances = 8\ntables = 2",
        many + 8,
        many * 4 + 64
    );
    let with = Serve {
        limits: &limits,
        ..Serve::default()
    };
    let server = place.serve(&format!("density-{many}"), Cores::All, &with)?;
    let token = place.token(&place.p2("park")?, |_| {});
    let ask = request(&token, "GET /run", b"");
    // Compiled, and the pool used once.
    park(&server, &ask, 1)?;
    let mut idle = Vec::new();
    for _ in 0..many {
        // A connection is begun with its first bytes.
        let mut stream = connect(server.address)?;
        stream.write_all(b"G")?;
        idle.push(stream);
    }
    settle(&server);
    let before = server.memory();
    let started = Instant::now();
    let rest = ask.get(1..).unwrap_or_default();
    for stream in &mut idle {
        stream.write_all(rest)?;
    }
    let alive = wait(&server, many + 1)?.saturating_sub(1);
    let took = started.elapsed();
    settle(&server);
    let after = server.memory();
    report(many, alive, before, after, took, figures);
    Ok(())
}

fn report(
    many: usize,
    alive: usize,
    before: Memory,
    after: Memory,
    took: Duration,
    figures: &mut Figures,
) {
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / alive.max(1) as f64;
    let resident = each(before.resident, after.resident) / 1024.0;
    table::row(&[
        many.to_string(),
        alive.to_string(),
        mib(after.resident),
        number(resident),
        number(each(before.anonymous, after.anonymous) / 1024.0),
        after.mappings.to_string(),
        number(each(before.mappings, after.mappings)),
        number(took.as_secs_f64()),
    ]);
    figures.insert(format!("density.{many}.alive"), alive as f64);
    figures.insert(format!("density.{many}.each"), resident);
}

/// Parks so many, and leaves them; ready when they are.
fn park(server: &Process, ask: &[u8], many: usize) -> io::Result<()> {
    let mut stream = connect(server.address)?;
    stream.write_all(ask)?;
    wait(server, many)?;
    // Alive as long as its caller is.
    std::mem::forget(stream);
    Ok(())
}

/// Waits until so many run, or no more come; how many do.
fn wait(server: &Process, many: usize) -> io::Result<usize> {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let now = running(server)?;
        if now >= many || since.elapsed() > PATIENCE {
            return Ok(now);
        }
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until its memory stays as it is.
fn settle(server: &Process) {
    let mut last = 0;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(200));
        let now = server.memory().resident;
        if now.abs_diff(last) < 64 << 10 {
            return;
        }
        last = now;
    }
}

/// Invocations that run, as its metrics say.
fn running(server: &Process) -> io::Result<usize> {
    let none = || io::Error::other("no metrics");
    let text = metrics(server.operations.ok_or_else(none)?)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("webtask_invocations "));
    line.and_then(|number| number.trim().parse().ok())
        .ok_or_else(none)
}

/// What the operations listener says of itself.
pub(crate) fn metrics(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
