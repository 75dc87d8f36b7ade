//! `webtask logs`: what webtasks log, as it happens.

pub(super) mod client;
pub(super) mod show;
pub(super) mod sse;

use std::{
    io::{ErrorKind, IsTerminal as _, Write as _},
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value};

use self::{
    client::{Live, Trouble, Wanted},
    show::{Colours, Dropped, Line},
    sse::Event,
};
use super::{Failure, block_on, presented::TokenFlags};

/// The longest wait before the next attempt to connect.
const LONGEST: Duration = Duration::from_secs(30);

/// Read what webtasks log
///
/// Prints the lines that the runtime kept, and with --follow those to come: what a webtask wrote, what it was denied
/// and what would allow it, where it failed, and how each request ended. An issuer token reads the lines of its
/// tenant, a whole run token its own and those of all that was made from it. After a lost connection it goes on where
/// it was; what is missing is told on stderr. Exit status 1 if the runtime refuses.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask logs --token-file issuer.txt --host https://run.example.com --follow
  webtask logs --token \"$TOKEN\" --level warn
  webtask logs --token-file issuer.txt --text 1a2b3c4d-00002f
  webtask logs --token-file issuer.txt --json --follow | jq -r 'select(.code) | .code'")]
pub(crate) struct LogsCommand {
    #[command(flatten)]
    token: TokenFlags,
    /// The runtime to ask
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "WEBTASK_HOST"
    )]
    host: String,
    /// Go on with what is to come, until Ctrl-C
    #[arg(short = 'f', long)]
    follow: bool,
    /// Leave out what matters less
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<Level>,
    /// Only lines that hold this text, or are of the request with this id
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// One JSON object a line: the event's name as `event`, and its data
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How a connection went.
enum Went {
    /// Nobody reads what is printed.
    Unread,
    /// The runtime has no more.
    Whole,
    /// It is worth another attempt.
    Lost(String),
}

/// Data of the event `end`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct End {
    code: String,
}

impl LogsCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let token = self.token.read()?;
        block_on(async {
            tokio::select! {
                done = self.read(&token) => done,
                // Whoever has seen enough says so by it.
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        })
    }

    async fn read(&self, token: &str) -> Result<(), Failure> {
        let wanted = Wanted {
            host: &self.host,
            level: self.level.map(Level::name),
            text: self.text.as_deref(),
            follow: self.follow,
        };
        let (mut last_id, mut wait, mut ever) = (String::new(), None, false);
        loop {
            let (went, at_least) = match wanted.open(token, &last_id).await {
                Ok(mut live) => {
                    (ever, wait) = (true, None);
                    let went = self.print(&mut live).await?;
                    if !live.parser.last_id.is_empty() {
                        last_id.clone_from(&live.parser.last_id);
                    }
                    let retry = live.parser.retry.unwrap_or(1_000).min(5_000);
                    (went, Duration::from_millis(retry))
                }
                Err(Trouble::Refused(text)) => return Err(refused(text)),
                Err(Trouble::Later(seconds, text)) if ever => {
                    (Went::Lost(text), Duration::from_secs(seconds))
                }
                Err(Trouble::Lost(text)) if ever => (Went::Lost(text), Duration::ZERO),
                Err(Trouble::Later(_, text)) => return Err(Failure::refused(text)),
                Err(Trouble::Lost(text)) => {
                    return Err(Failure::usage(text).hint("is the runtime running there?"));
                }
            };
            match went {
                Went::Unread | Went::Whole => return Ok(()),
                Went::Lost(text) if !self.follow => return Err(Failure::refused(text)),
                Went::Lost(text) => {
                    let next = backed_off(wait).max(at_least).min(LONGEST);
                    eprintln!("webtask: {text}; connecting again in {next:?}");
                    tokio::time::sleep(next).await;
                    wait = Some(next);
                }
            }
        }
    }

    /// Prints what one connection gives.
    async fn print(&self, live: &mut Live) -> Result<Went, Failure> {
        let environment = |name: &str| std::env::var(name).ok();
        let colours = Colours::of(std::io::stdout().is_terminal(), environment);
        loop {
            let event = match live.next().await {
                Ok(Some(event)) => event,
                Ok(None) if self.follow => {
                    return Ok(Went::Lost("the connection ended".to_owned()));
                }
                Ok(None) => return Ok(Went::Whole),
                Err(Trouble::Lost(text) | Trouble::Later(_, text)) => return Ok(Went::Lost(text)),
                Err(Trouble::Refused(text)) => return Err(Failure::refused(text)),
            };
            let text = match event.name.as_str() {
                "end" => return ended(&event),
                _ if self.json => json(&event),
                "dropped" => {
                    let dropped: Dropped = read(&event);
                    eprintln!("webtask: {}", dropped.text());
                    continue;
                }
                "log" | "invocation" => read::<Line>(&event).shown(colours),
                // Of a runtime that is newer than this command.
                _ => continue,
            };
            if !printed(&text)? {
                return Ok(Went::Unread);
            }
        }
    }
}

/// What a token would read with, where one that was handed on does not.
fn refused(text: String) -> Failure {
    let hint = "a token that was narrowed or minted reads no log unless the runtime's read-logs says so: present the token that it was made from, or the issuer token";
    match text.starts_with("403 denied") {
        true => Failure::refused(text).hint(hint),
        false => Failure::refused(text),
    }
}

/// The runtime ended it, and says why.
fn ended(event: &Event) -> Result<Went, Failure> {
    let end: End = read(event);
    match end.code.as_str() {
        "draining" => Ok(Went::Lost("the runtime is shutting down".to_owned())),
        code => Err(Failure::refused(format!(
            "the runtime ended the log: {}",
            webtask_host::printable(code, 64)
        ))),
    }
}

/// Twice as long as before, from a second on.
fn backed_off(before: Option<Duration>) -> Duration {
    before.map_or(Duration::from_secs(1), |before| before.saturating_mul(2))
}

fn read<T: Default + for<'de> Deserialize<'de>>(event: &Event) -> T {
    serde_json::from_str(&event.data).unwrap_or_default()
}

/// The data with the event's name; JSON has no control characters.
fn json(event: &Event) -> String {
    let data: Map<String, Value> = read(event);
    let mut object = Map::new();
    object.insert("event".to_owned(), event.name.as_str().into());
    object.extend(data);
    format!("{}\n", Value::from(object))
}

/// Whether anybody reads it.
fn printed(text: &str) -> Result<bool, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::usage(format!("cannot write to stdout: {error}"))),
    }
}
