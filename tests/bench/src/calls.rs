//! The system calls of a warm request, as strace counts them.

use std::{
    collections::BTreeMap,
    io,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    answer::{connect, once},
    process::{Cores, Process},
    table::{self, Figures, number},
    targets,
    webtask::{Place, Serve, plain, request},
};

/// Requests that are counted, one after the other over one connection.
const REQUESTS: u32 = 1_000;

/// A row for each call that more than one request in a hundred makes.
pub(crate) fn print(place: &Place, figures: &mut Figures) -> io::Result<()> {
    let server = place.serve("calls", Cores::Apart, &Serve::default())?;
    let native = targets::native(Cores::Apart, None)?;
    let token = place.token(&place.p2("bare")?, |_| {});
    let ours = count(place, &server, &request(&token, "GET /run", b""))?;
    let theirs = count(place, &native, &plain("GET /", "", b""))?;
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return Ok(());
    };
    let about = format!(
        "`strace -f -c` over {REQUESTS} requests, one at a time over one connection; calls for each request. `clock_nanosleep` \
         is the tick of the engine, 500 times a second whatever is asked; under strace a request takes longer than else, and has more of them."
    );
    table::begin(
        "System calls of a warm hello",
        &about,
        &["call", "native hyper", "webtask"],
    );
    let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    for name in names {
        let each = |calls: &BTreeMap<String, f64>| calls.get(name).copied().unwrap_or(0.0);
        if each(&ours).max(each(&theirs)) >= 0.01 {
            table::row(&[
                format!("`{name}`"),
                number(each(&theirs)),
                number(each(&ours)),
            ]);
        }
    }
    for (name, each) in ours {
        figures.insert(format!("calls.{name}"), each);
    }
    Ok(())
}

/// Calls for each request, by name; `None` without strace.
fn count(place: &Place, server: &Process, ask: &[u8]) -> io::Result<Option<BTreeMap<String, f64>>> {
    let mut stream = connect(server.address)?;
    for _ in 0..REQUESTS {
        once(&mut stream, ask)?;
    }
    let file = place.own(&format!("strace-{}", server.id()));
    let traced = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&file)
        .args(["-p", &server.id().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut strace = match traced {
        Ok(strace) => strace,
        Err(error) => {
            eprintln!("no strace, whose table is left out: {error}");
            return Ok(None);
        }
    };
    if !attached(server) {
        let _ = strace.kill();
        let _ = strace.wait();
        eprintln!("strace may not attach here; its table is left out");
        return Ok(None);
    }
    for _ in 0..REQUESTS {
        once(&mut stream, ask)?;
    }
    if let Some(pid) = Pid::from_raw(strace.id() as i32) {
        kill_process(pid, Signal::INT)?;
    }
    strace.wait()?;
    let text = std::fs::read_to_string(file)?;
    let lines = text.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        let calls: f64 = calls.parse().ok()?;
        Some((name.trim().to_owned(), calls / f64::from(REQUESTS)))
    });
    Ok(Some(lines.filter(|(name, _)| name != "total").collect()))
}

/// Waits until all threads of `server` are traced (proc(5), `TracerPid`).
fn attached(server: &Process) -> bool {
    let started = Instant::now();
    let traced = |task: io::Result<std::fs::DirEntry>| {
        let status = task.map(|task| std::fs::read_to_string(task.path().join("status")));
        let Ok(Ok(status)) = status else { return false };
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|tracer| tracer.trim() != "0")
    };
    while started.elapsed() < Duration::from_secs(10) {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id()));
        if tasks.is_ok_and(|mut tasks| tasks.all(traced)) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
