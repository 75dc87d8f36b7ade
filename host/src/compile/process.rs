//! The owner of the compilers' processes: starts them, gives each one component, and ends it.
//!
//! One is always started beforehand, so that a component does not wait for it. None is used twice: what has
//! read a hostile component is not trusted with another.

use std::{
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{Mutex, oneshot},
    time::timeout,
};

use super::{
    Analysis, Bounds, Code, CompileError, Compiled, Objection,
    engine::Fingerprint,
    wire::{self, NoFrame, Tag},
};
use crate::text::printable;

/// Time to start: a second is much on a machine that does nothing else.
const START: Duration = Duration::from_secs(30);

/// Time for a process that closed its pipes to be gone.
const GONE: Duration = Duration::from_secs(5);

/// Bytes of what a process says when it fails.
const LAST_WORDS: u64 = 4 << 10;

/// What the standard library says before it ends a process that has no memory left.
const NO_MEMORY: &str = "memory allocation of ";

/// The argument that makes a program a compiler.
const COMMAND: &str = "compile-worker";

/// Makes compilers, and has one at hand.
pub(super) struct Shop {
    program: PathBuf,
    bounds: Bounds,
    fingerprint: Fingerprint,
    /// Locked while one is started: who needs one does not start another beside it.
    spare: Mutex<Option<Process>>,
}

/// A compiler that said hello.
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// Why a compiler gave no code.
enum Broken {
    /// It said so, or its owner did.
    Error(CompileError),
    /// It is gone: how it ended says why.
    Gone,
}

impl Shop {
    pub(super) fn new(program: PathBuf, bounds: Bounds, fingerprint: Fingerprint) -> Arc<Self> {
        let shop = Arc::new(Self {
            // It is started elsewhere.
            program: std::path::absolute(&program).unwrap_or(program),
            bounds,
            fingerprint,
            spare: Mutex::const_new(None),
        });
        // Without a runtime the first component starts the first process.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(shop.clone().stock());
        }
        shop
    }

    /// Compiles `wasm` in a process of its own, which ends before `place` is free.
    pub(super) async fn compile(
        self: Arc<Self>,
        wasm: Bytes,
        objection: Objection,
        place: impl Send + 'static,
    ) -> Result<Compiled, CompileError> {
        let (mut reply, answer) = oneshot::channel();
        // A task of its own: also when nobody waits any more, the process is ended before its place is free.
        tokio::spawn(async move {
            let _place = place;
            let bounds = self.bounds;
            let mut process = match self.take().await {
                Ok(process) => process,
                Err(reason) => {
                    let _ = reply.send(Err(CompileError::Failed(reason)));
                    return;
                }
            };
            let compiled = tokio::select! {
                compiled = timeout(bounds.time, process.compile(&wasm, bounds, objection)) => compiled.map_err(Some),
                () = reply.closed() => Err(None),
            };
            let result = match compiled {
                Ok(Ok(compiled)) => Ok(compiled),
                Ok(Err(Broken::Error(error))) => Err(error),
                Ok(Err(Broken::Gone)) => Err(process.last_words(bounds).await),
                Err(Some(_)) => Err(CompileError::Timeout(bounds.time)),
                Err(None) => Err(CompileError::Failed("nobody waits for it".into())),
            };
            let _ = reply.send(result);
            process.end().await;
            drop(_place);
            self.stock().await;
        });
        let ended = CompileError::Failed("the host is stopping".into());
        answer.await.unwrap_or(Err(ended))
    }

    /// The process at hand, or a new one.
    async fn take(&self) -> Result<Process, String> {
        let spare = self.spare.lock().await.take();
        if let Some(mut spare) = spare {
            match spare.child.try_wait() {
                Ok(None) => return Ok(spare),
                ended => tracing::warn!(
                    ?ended,
                    "a compiler ended before it had anything to do; starting another one"
                ),
            }
        }
        self.start().await
    }

    /// Starts a process to have at hand, if there is none.
    async fn stock(self: Arc<Self>) {
        let mut spare = self.spare.lock().await;
        if spare.is_some() {
            return;
        }
        match self.start().await {
            Ok(process) => *spare = Some(process),
            Err(reason) => tracing::error!(reason, "no compiler can be started"),
        }
    }

    async fn start(&self) -> Result<Process, String> {
        let started = timeout(START, self.greeted()).await;
        started.unwrap_or_else(|_| Err(format!("it did not start within {START:?}")))
    }

    async fn greeted(&self) -> Result<Process, String> {
        let bounds = self.bounds;
        // CPU time of all threads: what is left when the owner is gone and nobody looks at the clock.
        let cpu = bounds
            .time
            .as_secs()
            .saturating_add(1)
            .saturating_mul(bounds.threads as u64);
        let mut command = Command::new(&self.program);
        command
            .arg(COMMAND)
            .args([bounds.memory, cpu, bounds.component].map(|number| number.to_string()))
            .env_clear()
            .env("RAYON_NUM_THREADS", bounds.threads.to_string())
            // In KiB. A GiB at once otherwise, which would be all that there is.
            .env("MIMALLOC_ARENA_RESERVE", "65536")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let program = self.program.display();
        let mut child = command
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {error}"))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(format!("{program} has no pipes"));
        };
        let mut process = Process {
            child,
            stdin,
            stdout,
            stderr,
        };
        let mut hello = [0; wire::HELLO];
        if process.stdout.read_exact(&mut hello).await.is_err() {
            return Err(match process.last_words(bounds).await {
                CompileError::Failed(reason) => reason,
                _ => "it has less memory or time than it takes to start; raise the limit compile-memory".into(),
            });
        }
        if hello.as_slice() != wire::hello(&self.fingerprint) {
            return Err(format!(
                "{program} is not the version of this host; restart the host"
            ));
        }
        Ok(process)
    }
}

impl Process {
    async fn compile(
        &mut self,
        wasm: &[u8],
        bounds: Bounds,
        objection: Objection,
    ) -> Result<Compiled, Broken> {
        let length = (wasm.len() as u64).to_le_bytes();
        for bytes in [length.as_slice(), wasm] {
            let written = self.stdin.write_all(bytes).await;
            written.map_err(|_| Broken::Gone)?;
        }
        let payload = self.frame(Tag::Analysis, bounds).await?;
        let analysis: Analysis =
            serde_json::from_slice(&payload).map_err(|_| lied("an analysis"))?;
        if let Some(reason) = objection(&analysis) {
            return Err(Broken::Error(CompileError::Invalid(reason)));
        }
        let code = Code::compiled(self.frame(Tag::Code, bounds).await?);
        Ok(Compiled { analysis, code })
    }

    /// The payload of the next frame, which is to have the tag `wanted`.
    async fn frame(&mut self, wanted: Tag, bounds: Bounds) -> Result<Vec<u8>, Broken> {
        let bound = |tag| match tag {
            Tag::Code => bounds.compiled,
            _ => wire::MAX_TEXT,
        };
        match wire::read(&mut self.stdout, bound).await {
            Ok((tag, payload)) if tag == wanted => Ok(payload),
            Ok((Tag::Invalid, reason)) => {
                let reason = String::from_utf8_lossy(&reason).into_owned();
                Err(Broken::Error(CompileError::Invalid(reason)))
            }
            Ok((Tag::Memory, _)) => Err(Broken::Error(CompileError::Memory(bounds.memory))),
            Err(NoFrame::TooLarge) if wanted == Tag::Code => {
                Err(Broken::Error(CompileError::TooLarge(bounds.compiled)))
            }
            Err(NoFrame::Gone) => Err(Broken::Gone),
            Ok(_) | Err(_) => Err(lied("what was asked for")),
        }
    }

    /// Why the process ended, from how it did.
    async fn last_words(&mut self, bounds: Bounds) -> CompileError {
        let status = match timeout(GONE, self.child.wait()).await {
            Ok(Ok(status)) => status,
            // It closed its pipes and goes on.
            _ => return CompileError::Failed("it did not answer".into()),
        };
        let mut words = Vec::new();
        let mut stderr = (&mut self.stderr).take(LAST_WORDS);
        let _ = timeout(GONE, stderr.read_to_end(&mut words)).await;
        let words = String::from_utf8_lossy(&words);
        cause(status, words.trim(), bounds)
    }

    /// Ends the process and waits until it is gone.
    async fn end(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "a compiler cannot be ended");
        }
    }
}

fn lied(not: &str) -> Broken {
    Broken::Error(CompileError::Failed(format!("its answer is not {not}")))
}

fn cause(status: ExitStatus, words: &str, bounds: Bounds) -> CompileError {
    if status.signal() == Some(Signal::XCPU.as_raw()) {
        return CompileError::Timeout(bounds.time);
    }
    if status.signal() == Some(Signal::ABORT.as_raw()) && words.contains(NO_MEMORY) {
        return CompileError::Memory(bounds.memory);
    }
    let words = printable(words, 512);
    let separator = if words.is_empty() { "" } else { ": " };
    CompileError::Failed(format!("it ended with {status}{separator}{words}"))
}

#[cfg(test)]
mod tests;
