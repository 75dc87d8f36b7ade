//! `--watch`: the same call again and again, and what is different in the answer.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    InvokeCommand,
    answer::{Kept, Out},
    request::Call,
};
use crate::cli::Failure;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Lines of a difference that are shown.
const LINES: usize = 40;

/// When to call again.
pub(super) struct Watched {
    pub(super) files: Vec<PathBuf>,
    pub(super) every: Option<Duration>,
}

/// When a file was written, and its length; none while it is not there, as while a linker replaces it.
type Stamp = Option<(SystemTime, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Watched {
    fn stamps(&self) -> Vec<Stamp> {
        self.files.iter().map(|path| stamp(path)).collect()
    }

    /// Waits for a change after `before`, or for the time; says which it was.
    async fn next(&self, before: &[Stamp]) -> String {
        let until = self.every.map(|every| tokio::time::Instant::now() + every);
        loop {
            let changed = self.files.iter().zip(before);
            let mut changed = changed.filter(|(path, before)| {
                let now = stamp(path);
                now.is_some() && now != **before
            });
            if let Some((path, _)) = changed.next() {
                return format!("{} changed", path.display());
            }
            let look = tokio::time::Instant::now() + LOOK;
            match until {
                Some(until) if until <= look => {
                    tokio::time::sleep_until(until).await;
                    return format!("{:?} passed", self.every.unwrap_or_default());
                }
                _ => tokio::time::sleep_until(look).await,
            }
        }
    }
}

/// Calls until Ctrl-C. What fails is told, and the next call may not.
pub(super) async fn run(
    command: &InvokeCommand,
    call: &Call,
    watched: &Watched,
) -> Result<(), Failure> {
    let mut last: Option<Kept> = None;
    loop {
        let stamps = watched.stamps();
        match command.once(call).await {
            Ok(answered) => match answered.keep().await {
                Ok((kept, request_id, times)) => {
                    show(command, &kept, last.as_ref())?;
                    command.after(call, &request_id, &times).await;
                    last = Some(kept);
                }
                Err(failure) => eprintln!("webtask: {failure}"),
            },
            Err(failure) => eprintln!("webtask: {failure}"),
        }
        let why = watched.next(&stamps).await;
        eprintln!("webtask: {why}, calling again");
    }
}

/// The first answer is printed whole; of the others what is different goes to stderr, and the body to its file.
fn show(command: &InvokeCommand, kept: &Kept, last: Option<&Kept>) -> Result<(), Failure> {
    if last == Some(kept) {
        eprintln!("webtask: the same answer, status {}", kept.status);
        return Ok(());
    }
    if let Some(last) = last {
        eprint!("{}", difference(last, kept));
    }
    let mut out = Out::open(&command.sink())?;
    out.write(&kept.body)?;
    if kept.status >= 400 {
        eprintln!("webtask: status {}", kept.status);
    }
    Ok(())
}

/// What is different: the status, and the lines between those at the beginning and at the end that are the same.
fn difference(before: &Kept, after: &Kept) -> String {
    let mut text = String::new();
    if before.status != after.status {
        text.push_str(&format!(
            "webtask: status {} -> {}\n",
            before.status, after.status
        ));
    }
    let texts = (
        std::str::from_utf8(&before.body),
        std::str::from_utf8(&after.body),
    );
    let (Ok(old), Ok(new)) = texts else {
        let (old, new) = (before.body.len(), after.body.len());
        text.push_str(&format!("webtask: {old} -> {new} bytes\n"));
        return text;
    };
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same = old
        .iter()
        .zip(&new)
        .take_while(|(old, new)| old == new)
        .count();
    let (old, new) = (
        old.get(same..).unwrap_or_default(),
        new.get(same..).unwrap_or_default(),
    );
    let end = old.iter().rev().zip(new.iter().rev());
    let end = end.take_while(|(old, new)| old == new).count();
    for (sign, lines) in [('-', old), ('+', new)] {
        let lines = lines
            .get(..lines.len().saturating_sub(end))
            .unwrap_or_default();
        for line in lines.iter().take(LINES) {
            text.push_str(&format!(
                "{sign} {}\n",
                webtask_host::printable(line, 1 << 10)
            ));
        }
        if lines.len() > LINES {
            let more = lines.len().saturating_sub(LINES);
            text.push_str(&format!("{sign} ... {more} lines more\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(status: u16, body: &str) -> Kept {
        Kept {
            status,
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn what_is_different_is_shown_and_nothing_else() {
        let (old, new) = (kept(200, "a\nb\nc\nd\n"), kept(500, "a\nB\nb2\nc\nd\n"));
        assert_eq!(
            difference(&old, &new),
            "webtask: status 200 -> 500\n- b\n+ B\n+ b2\n"
        );
        assert_eq!(
            difference(&kept(200, "x"), &kept(200, "x\u{1b}[2J")),
            "- x\n+ x\\u{1b}[2J\n"
        );
        let many: String = (0..100).map(|n| format!("{n}\n")).collect();
        let shown = difference(&kept(200, ""), &kept(200, &many));
        assert!(shown.lines().count() == LINES + 1 && shown.ends_with("+ ... 60 lines more\n"));
        let binary = Kept {
            status: 200,
            body: vec![0xff, 0].into(),
        };
        assert_eq!(difference(&old, &binary), "webtask: 8 -> 2 bytes\n");
    }
}
