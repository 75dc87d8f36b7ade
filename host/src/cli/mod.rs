//! The command line: one file a command. Data goes to stdout, everything else to stderr.

pub(crate) mod audit;
pub(crate) mod build;
mod compile_worker;
pub(crate) mod config;
mod declared;
mod demo;
pub(crate) mod dev;
mod env_file;
pub(crate) mod invoke;
pub(crate) mod keys;
mod log_lines;
mod log_text;
mod logging;
pub(crate) mod logs;
pub(crate) mod new;
mod payments;
mod presented;
mod reload;
mod run;
pub(crate) mod serve;
mod settings;
mod sockets;
pub(crate) mod token;
mod traces;
pub(crate) mod warm;

use std::io::Write as _;

use clap::{Parser, Subcommand};
use webtask_host::LogFormat;

/// Why a command failed, in one line, with what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    exit: u8,
    /// Whether it stands in the log already.
    told: bool,
}

impl Failure {
    /// The input was understood and refused, or is not valid: exit status 1.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit: 1,
            told: false,
        }
    }

    /// The command was used wrongly, or the system failed: exit status 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            exit: 2,
            told: false,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the failure in a log of JSON, where a line for people would be no line of it.
    #[must_use]
    fn logged(mut self) -> Self {
        tracing::error!(hint = self.hint, exit = self.exit, "{}", self.message);
        self.told = true;
        self
    }

    /// Prints the failure on stderr and gives the exit status.
    pub(crate) fn report(&self) -> u8 {
        if self.told {
            return self.exit;
        }
        eprintln!("webtask: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        self.exit
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

/// Writes data to stdout. A reader that has gone away is no failure.
pub(crate) fn print(data: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(data.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Runs WebAssembly components that carry their own rights.
///
/// A webtask token names code (a URL and its digest), the secrets that code may use, what it may do,
/// and until when - sealed, so that whoever carries it can neither read nor change it. This command
/// makes keys and tokens, and serves requests that carry them.
#[derive(Debug, Parser)]
#[command(
    name = "webtask",
    version,
    after_help = "First steps of an author:
  webtask new greeter && cd greeter
  webtask dev

First steps of a runtime:
  webtask keys generate --keys keys.toml
  webtask token create --keys keys.toml --url ./hello.wasm
  webtask serve --keys keys.toml --allow-code .
  webtask invoke TOKEN

Exit status: 0 done, 1 refused or not valid, 2 wrong use or a failure of the system."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Audit(audit::AuditCommand),
    Build(build::BuildCommand),
    #[command(hide = true)]
    CompileWorker(compile_worker::CompileWorkerCommand),
    Config(config::ConfigCommand),
    Demo(demo::DemoCommand),
    Dev(dev::DevCommand),
    Invoke(invoke::InvokeCommand),
    Keys(keys::KeysCommand),
    Logs(logs::LogsCommand),
    New(new::NewCommand),
    Serve(serve::ServeCommand),
    Token(token::TokenCommand),
    Warm(warm::WarmCommand),
}

impl Cli {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        // `serve` has a format for it, `dev` one of its own.
        if !matches!(self.command, Command::Dev(_) | Command::Serve(_)) {
            logging::start(LogFormat::Text);
        }
        let done = match self.command {
            Command::Audit(command) => command.run(),
            Command::Build(command) => command.run(),
            Command::CompileWorker(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Demo(command) => command.run(),
            Command::Dev(command) => command.run(),
            Command::Invoke(command) => command.run(),
            Command::Keys(command) => command.run(),
            Command::Logs(command) => command.run(),
            Command::New(command) => command.run(),
            Command::Serve(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::Warm(command) => command.run(),
        };
        log_lines::flush();
        done
    }
}

/// Runs `work` on a multi-threaded runtime.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    let result = runtime.block_on(work);
    // Not dropped: that waits for blocking work such as a compilation that nobody needs any more.
    runtime.shutdown_background();
    result
}
