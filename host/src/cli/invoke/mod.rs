//! `webtask invoke`: webtask requests from the command line.

mod answer;
mod request;
mod timing;
mod watch;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use webtask_host::chain;

use self::{
    answer::{Answered, Sink},
    request::Call,
    timing::{Clock, of_host},
};
use super::{Failure, block_on, presented::TokenFlags, token::flags::TokenText};

/// Call a webtask
///
/// Sends the token in the header `webtask-token` and prints the answer's body on stdout, all else on stderr. Exit
/// status 1 if the answer is an error.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask invoke \"$TOKEN\"
  webtask invoke \"$TOKEN\" /orders?id=7 -H 'accept: application/json'
  webtask invoke \"$TOKEN\" -d '{\"amount\":1999}' --host https://run.example.com
  webtask invoke --token-file token.txt /orders -d @order.json --time --logs
  jq . order.json | WEBTASK_TOKEN=$TOKEN webtask invoke /orders -d @-
  webtask invoke --token-file token.txt --watch-file target/wasm32-wasip2/release/orders.wasm")]
pub(crate) struct InvokeCommand {
    /// The token, or - to read it from stdin; not needed with --token-file or WEBTASK_TOKEN
    #[arg(value_name = "TOKEN")]
    first: Option<TokenText>,
    /// The path that the webtask sees, with its query [default: /]
    #[arg(value_name = "PATH")]
    second: Option<String>,
    #[command(flatten)]
    presented: TokenFlags,
    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<String>,
    /// A header field, `name: value`; may be repeated
    #[arg(short = 'H', long, value_name = "FIELD")]
    header: Vec<String>,
    /// The request's body; @FILE reads a file, and @- stdin
    #[arg(short = 'd', long, value_name = "BODY")]
    data: Option<String>,
    /// Also print the answer's status and header fields, on stderr
    #[arg(short = 'i', long)]
    include: bool,
    /// Write the answer's body to a file instead of stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print nothing of the body if the answer is an error
    #[arg(short = 'f', long)]
    fail: bool,
    /// Print how long each part took, on stderr; those of the runtime too, if the token may read the log
    #[arg(long)]
    time: bool,
    /// Print what the webtask logged for this request, on stderr, if the token may read the log
    #[arg(long)]
    logs: bool,
    /// Call again when the body's file or one of --watch-file changes, or as often as this says, such as --watch=2s;
    /// print what is different, until Ctrl-C
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    watch: Option<String>,
    /// A file to watch, such as the component of an unpinned token; may be repeated
    #[arg(long, value_name = "FILE")]
    watch_file: Vec<PathBuf>,
    /// The runtime to call
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "WEBTASK_HOST"
    )]
    host: String,
    /// How long to wait for a connection, and for the answer to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl InvokeCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let call = self.call()?;
        let watched = self.watched(&call)?;
        block_on(async {
            match watched {
                None => self.once(&call).await?.print().await,
                Some(watched) => tokio::select! {
                    ended = watch::run(&self, &call, &watched) => ended,
                    _ = tokio::signal::ctrl_c() => Ok(()),
                },
            }
        })
    }

    /// Where the answer's body goes.
    fn sink(&self) -> Sink {
        self.output.clone().map_or(Sink::Stdout, Sink::File)
    }

    /// One request, until its answer has begun.
    async fn once<'a>(&'a self, call: &'a Call) -> Result<Answered<'a>, Failure> {
        let limit = Duration::from_secs(self.timeout);
        let request = call.request()?;
        let clock = Clock::start();
        let sent = webtask_host::send_timed(request, limit).await;
        let (response, timing) = sent.map_err(|error| {
            Failure::usage(format!("{}: {}", self.host, chain(&error))).hint("is the runtime running? start it with: webtask serve; or name another one with --host")
        })?;
        if self.include {
            eprintln!("{:?} {}", response.version(), response.status());
            for (name, value) in response.headers() {
                eprintln!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
            }
        }
        Ok(Answered::new(self, call, response, clock, timing))
    }

    /// After the answer: times and log lines, where they were asked for.
    async fn after(&self, call: &Call, request_id: &str, times: &str) {
        if self.time {
            eprintln!("time: {times}");
        }
        if (self.time || self.logs) && !request_id.is_empty() {
            let told = of_host(&self.host, call.token(), request_id, self.logs).await;
            match told {
                Ok(Some(times)) if self.time => eprintln!("host: {times}"),
                Ok(_) => {}
                Err(why) => eprintln!("note: nothing of the runtime's log: {why}"),
            }
        }
    }
}
