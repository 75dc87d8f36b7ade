//! How long each part of a call took: on the way, as this command saw it, and in the runtime, as its log says.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use webtask_host::Timing;

use crate::cli::logs::{
    client::{Trouble, Wanted},
    show::{Colours, Line, mebibytes, millis},
};

/// How long to wait for the end of the invocation in the log: it is written when the answer is out.
const PATIENCE: Duration = Duration::from_secs(5);

/// When a call began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The parts until now.
    pub(super) fn times(self, timing: &Timing) -> String {
        let total = self.0.elapsed();
        let ready = timing.shaken.unwrap_or(timing.connected);
        let shown = |time: Duration| millis(time.as_secs_f64() * 1e3);
        let mut parts = vec![
            format!("lookup {}", shown(timing.resolved)),
            format!(
                "connect {}",
                shown(timing.connected.saturating_sub(timing.resolved))
            ),
        ];
        if let Some(shaken) = timing.shaken {
            let tls = shaken.saturating_sub(timing.connected);
            parts.push(format!("tls {}", shown(tls)));
        }
        let first = timing.answered.saturating_sub(ready);
        parts.push(format!("first byte {}", shown(first)));
        parts.push(format!(
            "body {}",
            shown(total.saturating_sub(timing.answered))
        ));
        parts.push(format!("total {}", shown(total)));
        parts.join(", ")
    }
}

/// What the runtime's log has of a request: its lines to stderr, if they are wanted, and the times of its parts.
pub(super) async fn of_host(
    host: &str,
    token: &str,
    request_id: &str,
    lines: bool,
) -> Result<Option<String>, String> {
    let read = read(host, token, request_id, lines);
    let waited = tokio::time::timeout(PATIENCE, read).await;
    match waited.unwrap_or(Ok(None)) {
        Ok(times) => Ok(times),
        Err(Trouble::Lost(text) | Trouble::Later(_, text) | Trouble::Refused(text)) => Err(text),
    }
}

async fn read(
    host: &str,
    token: &str,
    request_id: &str,
    lines: bool,
) -> Result<Option<String>, Trouble> {
    let wanted = Wanted {
        host,
        level: None,
        text: Some(request_id),
        follow: true,
    };
    let environment = |name: &str| std::env::var(name).ok();
    let colours = Colours::of(std::io::stderr().is_terminal(), environment);
    let mut live = wanted.open(token, "").await?;
    while let Some(event) = live.next().await? {
        let line: Line = serde_json::from_str(&event.data).unwrap_or_default();
        // A guest may write the id of another request.
        if line.request_id != request_id {
            continue;
        }
        match event.name.as_str() {
            "log" if lines => eprint!("{}", line.shown(colours)),
            "invocation" => return Ok(Some(times(&line))),
            _ => {}
        }
    }
    Ok(None)
}

fn times(line: &Line) -> String {
    format!(
        "open {}, load {}, instantiate {}, run {}, cpu {}, memory {}",
        millis(line.open_ms),
        millis(line.load_ms),
        millis(line.instantiate_ms),
        millis(line.run_ms),
        millis(line.cpu_ms),
        mebibytes(line.memory)
    )
}
