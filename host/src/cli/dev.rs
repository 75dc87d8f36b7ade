//! `webtask dev`: a runtime for the project at hand, rebuilt at each save, behind a URL that needs no token.

mod cargo;
mod door;
mod log;
mod watch;

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use http::HeaderValue;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use webtask_host::{Config, Host, Limits, chain};
use webtask_token::{Claims, Keyring};

use self::{
    door::{Door, Paths},
    watch::{Seen, Watch},
};
use super::{
    Failure, block_on,
    build::{Built, Project, kibibytes, rustc, warning},
    compile_worker::this_program,
    declared::{self, Declared},
    env_file, print, settings,
    token::{hex, now},
};

/// Bytes of debug information that are read: without optimisation there is more of it.
const DEBUG_BYTES: u64 = 32 << 20;
/// How long the token of a build lasts: longer than anybody leaves this running.
const LIFE: u64 = 365 * 24 * 3_600;

/// Serve a project on this machine, rebuilt at each save
///
/// Builds the project, runs it in this process and serves it on a URL that needs no token; the webtask sees the path as
/// it stands there. Each save builds anew, and a build that fails leaves the one before it serving. What the webtask
/// logs and how it fails is printed as it happens, and a line for each request. What it gets, webtask.toml says; the
/// values of its secrets stand in .env. Only programs and pages of this machine are answered. Ctrl-C ends it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask dev
  webtask dev --dir greeter --listen 127.0.0.1:0
  webtask dev --allow-private 127.0.0.1       for a stand-in of an API on this machine

Set WEBTASK_LOG to debug or warn to see more or less.")]
pub(crate) struct DevCommand {
    /// The project's folder
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The program, if the project has several
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// Where to listen, on loopback; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The file of the secrets that webtask.toml names, a line NAME=VALUE each; git must not see it [default: .env in
    /// the project's folder, if it is there]
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// An address or range beyond the public internet that the webtask may reach, where a grant names the address
    /// itself
    #[arg(long, value_name = "CIDR")]
    allow_private: Vec<String>,
}

impl DevCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let paths = Arc::new(Paths::default());
        log::start(paths.clone());
        if !self.listen.ip().to_canonical().is_loopback() {
            return Err(Failure::usage(format!(
                "webtask dev runs whatever is asked for without a token, and so listens on loopback only, not on {}",
                self.listen
            ))
            .hint("use `webtask serve` for anything else"));
        }
        let project = Project::find(&self.dir, self.bin.as_deref())?;
        let env = self.env_file.clone();
        let inputs = Inputs {
            env_asked: env.is_some(),
            env: env.unwrap_or_else(|| project.directory.join(".env")),
            project,
        };
        // What is wrong with these would be wrong after minutes of a first build, too.
        inputs.claims(Noted::Say)?;
        let private = settings::private_ranges(&self.allow_private)?;
        for range in &private {
            say(&format!(
                "warning: the webtask may reach {range}, where a grant of {} names an address of it",
                declared::FILE
            ));
        }
        let rustc = rustc(&inputs.project.directory)?;
        let served = tempfile::Builder::new()
            .prefix("webtask-dev-")
            .tempdir()
            .map_err(|error| Failure::usage(format!("no temporary directory: {error}")))?;
        block_on(async {
            let failed = |error: std::io::Error| {
                Failure::usage(format!("cannot listen on {}: {error}", self.listen))
                    .hint("choose another address with --listen; port 0 takes any free port")
            };
            let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
            let url = format!("http://{}", listener.local_addr().map_err(failed)?);
            let dev = Dev::new(inputs, rustc, url, served.path(), private, paths)?;
            tokio::select! {
                ended = asked_to_end() => ended?,
                () = dev.door.clone().serve(listener) => {}
                never = dev.build_at_each_save() => match never {},
            }
            say("webtask dev: ended");
            Ok(())
        })
    }
}

/// Ready when the person, or the terminal, wants no more.
async fn asked_to_end() -> Result<(), Failure> {
    let on = |kind| signal(kind).map_err(|error| Failure::usage(format!("cannot start: {error}")));
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    let mut hangup = on(SignalKind::hangup())?;
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {}, _ = hangup.recv() => {} }
    Ok(())
}

/// A line for the person. Nobody may be there to read it any more.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

fn config(keyring: Keyring, code: &Path, private: Vec<ipnet::IpNet>) -> Result<Config, Failure> {
    let code = code.display().to_string().parse();
    let code = code.map_err(|error| Failure::usage(format!("{error}")))?;
    let mut limits = Limits::default();
    limits.debug_bytes = DEBUG_BYTES;
    Ok(Config {
        limits,
        compiler: this_program(),
        private,
        ..Config::new(keyring, vec![code])
    })
}

/// Whether remarks are printed.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Noted {
    Say,
    Silent,
}

/// The project, and the files beside it that say what it gets.
struct Inputs {
    project: Project,
    env: PathBuf,
    /// Whether that file was asked for, and so has to be there.
    env_asked: bool,
}

impl Inputs {
    /// What the webtask gets; the code is not named yet.
    fn claims(&self, noted: Noted) -> Result<(Claims, Declared), Failure> {
        let declared = Declared::of(&self.project.directory)?;
        let now = now();
        let mut claims = Claims::new("", now);
        claims.exp = now.saturating_add(LIFE);
        if self.env_asked || self.env.exists() {
            let read = env_file::read(&self.env)?;
            let (named, others) = env_file::named(read, &declared.secrets);
            claims.secrets = named;
            if !others.is_empty() && noted == Noted::Say {
                say(&format!(
                    "note: {} has {}, which the webtask does not get: `secrets` of {} does not name it",
                    self.env.display(),
                    others.join(", "),
                    declared::FILE
                ));
            }
        }
        let missing = format!("a line NAME=VALUE in {} gives it one", self.env.display());
        declared.fill(&mut claims, &missing)?;
        Ok((claims, declared))
    }

    fn watch(&self) -> Watch {
        let directory = &self.project.directory;
        let mut files = self.project.sources();
        files.extend([directory.join(declared::FILE), self.env.clone()]);
        Watch {
            directories: vec![directory.join("src")],
            files,
        }
    }
}

/// What goes on until the end.
struct Dev {
    inputs: Inputs,
    rustc: PathBuf,
    url: String,
    /// The directory that components are served from.
    served: PathBuf,
    keyring: Keyring,
    host: Arc<Host>,
    door: Arc<Door>,
    ansi: bool,
}

/// A component that serves, by its digest and its file.
struct Live {
    sha256: [u8; 32],
    file: PathBuf,
}

impl Dev {
    fn new(
        inputs: Inputs,
        rustc: PathBuf,
        url: String,
        served: &Path,
        private: Vec<ipnet::IpNet>,
        paths: Arc<Paths>,
    ) -> Result<Self, Failure> {
        let failed = |text: String| Failure::usage(format!("cannot start: {text}"));
        let keyring = Keyring::generate(None);
        let opens = Keyring::from_toml(&keyring.to_toml());
        let opens = opens.map_err(|error| failed(error.to_string()))?;
        let host = Host::new(config(opens, served, private)?);
        let host = Arc::new(host.map_err(|error| failed(chain(&error)))?);
        Ok(Self {
            inputs,
            rustc,
            url,
            served: served.to_owned(),
            keyring,
            door: Arc::new(Door::new(host.clone(), paths)),
            host,
            ansi: std::io::stderr().is_terminal(),
        })
    }

    async fn build_at_each_save(&self) -> std::convert::Infallible {
        let mut live = None;
        let mut since = Instant::now();
        let mut why = self.inputs.project.program.clone();
        loop {
            let mut watch = self.inputs.watch();
            let mut before = watch.look();
            tokio::select! {
                built = self.attempt(&mut live, since, &why) => {
                    if let Err(failure) = built {
                        self.tell(&failure, live.is_some());
                    }
                    // The build tells of files that nobody knew of.
                    watch = self.inputs.watch();
                    before.adopt(&watch);
                    why = self.next(&watch, &before).await;
                }
                // Of a build that nobody waits for any more, nothing is kept but what cargo keeps.
                changed = self.next(&watch, &before) => why = changed,
            }
            since = Instant::now();
        }
    }

    /// The file that changed, as the person calls it.
    async fn next(&self, watch: &Watch, before: &Seen) -> String {
        let changed = watch.changed(before).await;
        let below = changed.strip_prefix(&self.inputs.project.directory);
        below
            .unwrap_or(&changed)
            .display()
            .to_string()
            .escape_debug()
            .to_string()
    }

    fn tell(&self, failure: &Failure, serving: bool) {
        let goes_on = match serving {
            true => "the build before it goes on serving",
            false => "nothing is served yet",
        };
        say(&format!("webtask: {failure}\nwebtask dev: {goes_on}"));
    }

    /// Builds, and serves what comes of it.
    async fn attempt(
        &self,
        live: &mut Option<Live>,
        since: Instant,
        why: &str,
    ) -> Result<(), Failure> {
        let (mut claims, declared) = self.inputs.claims(Noted::Silent)?;
        let path = cargo::build(&self.inputs.project, &self.rustc, self.ansi).await?;
        let made = since.elapsed();
        let built = Built::read(&path)?;
        built.runs()?;
        for (what, flag) in built.missing(&declared)? {
            say(&warning(&what, flag.as_deref()));
        }
        let next = self.place(&built)?;
        claims.url = format!("file://{}", next.file.display());
        claims.sha256 = Some(next.sha256);
        let sealed = self.keyring.seal(&claims);
        let token = sealed.map_err(|error| Failure::refused(error.to_string()))?;
        let ready = self.host.prepare(&token).await;
        ready.map_err(|error| Failure::refused(chain(&error)))?;
        let mut token =
            HeaderValue::try_from(token).map_err(|_| Failure::refused("the token is no header"))?;
        token.set_sensitive(true);
        self.door.open(token);
        let first = live.is_none();
        if let Some(old) = live.replace(next)
            && live.as_ref().is_some_and(|new| new.file != old.file)
        {
            // What runs of it is compiled and in memory.
            drop(fs::remove_file(old.file));
        }
        let (took, size) = (since.elapsed(), kibibytes(built.bytes.len()));
        let compiled = took.saturating_sub(made);
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        say(&format!(
            "live in {}: {why} (build {}, compile {}; {size})",
            seconds(took),
            seconds(made),
            seconds(compiled)
        ));
        match first {
            true => print(format!("serving {}\n", self.url)),
            false => Ok(()),
        }
    }

    /// Puts a component where the host may read it, under the name of its digest.
    fn place(&self, built: &Built) -> Result<Live, Failure> {
        let sha256 = built.needs.sha256;
        let file = self.served.join(format!("{}.wasm", hex(&sha256)));
        fs::write(&file, &built.bytes)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", file.display())))?;
        Ok(Live { sha256, file })
    }
}
