//! One run of cargo for `webtask dev`, which ends with all its compilers when it is dropped.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::Command,
};

use super::say;
use crate::cli::{
    Failure,
    build::{DEV, Project, Purpose},
};

/// Bytes of a line of cargo's that is read. Its JSON names every file of a package.
const LINE: usize = 1 << 20;

/// A process that leads a group: compilers are in it, too.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended by itself meanwhile.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }
}

/// Builds `project`, passes on what cargo says to the person, and gives the path of the component.
pub(super) async fn build(project: &Project, rustc: &Path, ansi: bool) -> Result<PathBuf, Failure> {
    let mut command = Command::from(project.build(rustc, Purpose::Dev));
    command
        .stderr(Stdio::piped())
        .env("CARGO_TERM_COLOR", if ansi { "always" } else { "never" })
        // A bar that is painted over what requests log.
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Failure::usage(format!("cannot run cargo: {error}")))?;
    let leader = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(leader.and_then(Pid::from_raw));
    let mut component = None;
    let finished = format!("`{DEV}` profile");
    let told = lines(child.stdout.take(), |line| {
        component = project.component(line).or(component.take());
    });
    let said = lines(child.stderr.take(), |line| {
        // Of each build the same: that it took place says the line of the component.
        if !(line.contains("Finished") && line.contains(&finished)) {
            say(line);
        }
    });
    let (status, (), ()) = tokio::join!(child.wait(), told, said);
    // Its number may be another's from now on.
    group.0 = None;
    match (status.is_ok_and(|status| status.success()), component) {
        (true, Some(path)) => Ok(path),
        (true, None) => Err(Failure::refused("cargo made no component of it")
            .hint("a webtask is a program, src/main.rs, with #[webtask::main]")),
        (false, _) => Err(Failure::refused("it does not build")),
    }
}

/// Calls `each` for the lines of what a process says, until it has nothing more to say.
async fn lines(from: Option<impl AsyncRead + Unpin>, mut each: impl FnMut(&str)) {
    let Some(from) = from else { return };
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() > LINE => {}
            Ok(_) => each(String::from_utf8_lossy(&line).trim_end()),
        }
    }
}
