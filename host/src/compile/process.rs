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
        let cpu = bounds.time.as_secs().saturating_add(1) * bounds.threads as u64;
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
#[expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};



    use super::*;

    const OURS: Fingerprint = [7; 32];

    /// A program cannot be started while a child of another test, before it became another program, has it
    /// open to write.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// What comes of a program that says `says`, and then does `then`.
    async fn compiled_by(says: &[u8], then: &str) -> Result<Compiled, CompileError> {
        let _one = ONE.lock().await;
        let dir = tempfile::tempdir().unwrap();
        let (words, program) = (dir.path().join("words"), dir.path().join("program"));
        fs::write(&words, says).unwrap();
        let script = format!("#!/bin/sh\n/bin/cat {}\n{then}\n", words.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let bounds = Bounds {
            time: Duration::from_secs(5),
            memory: 1 << 30,
            component: 1_000,
            compiled: 1_000,
            threads: 1,
        };
        let shop = Arc::new(Shop {
            program,
            bounds,
            fingerprint: OURS,
            spare: Mutex::const_new(None),
        });
        let objection = Box::new(|_: &Analysis| None);
        shop.compile(Bytes::from_static(b"a component"), objection, ())
            .await
    }

    fn frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
        [&wire::head(tag, payload), payload].concat()
    }

    async fn failure(says: &[&[u8]], then: &str) -> CompileError {
        match compiled_by(&says.concat(), then).await {
            Ok(_) => panic!("that is no compiler"),
            Err(error) => error,
        }
    }

    #[tokio::test]
    async fn a_compiler_of_another_version_is_refused() {
        let CompileError::Failed(reason) =
            failure(&[&wire::hello(&[8; 32])], "exec /bin/cat").await
        else {
            panic!("it is not ours");
        };
        assert!(reason.contains("restart the host"), "{reason}");
    }

    /// Nothing of what such a compiler says becomes code.
    #[tokio::test]
    async fn a_compiler_that_lies_is_refused() {
        let hello = wire::hello(&OURS);
        let analysis = frame(
            Tag::Analysis,
            br#"{"generation":"P2","imports":[],"needs":[]}"#,
        );
        let code = frame(Tag::Code, b"native code");
        let mut changed = code.clone();
        *changed.last_mut().unwrap() ^= 1;
        let large = wire::head(Tag::Code, &[0; 1_001]);
        let wait = "exec /bin/sleep 1000";
        for (says, then, error) in [
            (code.as_slice(), wait, "not what was asked for"),
            (&frame(Tag::Analysis, b"{}"), wait, "not an analysis"),
            (
                &[&analysis, changed.as_slice()].concat(),
                wait,
                "not what was asked for",
            ),
            (
                &[&analysis, analysis.as_slice()].concat(),
                wait,
                "not what was asked for",
            ),
            (b"\xff\xff\xff\xff", wait, "not what was asked for"),
            (
                &[&analysis, &code[..50]].concat(),
                "exit 3",
                "exit status: 3",
            ),
            (
                &analysis,
                "echo out of luck >&2; kill -SEGV $$",
                "signal: 11",
            ),
            (
                &analysis,
                "exec >&-; exec /bin/sleep 1000",
                "did not answer",
            ),
        ] {
            let CompileError::Failed(reason) = failure(&[&hello, says], then).await else {
                panic!("{error}");
            };
            assert!(reason.contains(error), "{reason}, not {error}");
        }
        for (says, then, error) in [
            (
                &[&analysis, large.as_slice()].concat(),
                wait,
                CompileError::TooLarge(1_000),
            ),
            (
                &analysis,
                wait,
                CompileError::Timeout(Duration::from_secs(5)),
            ),
            (
                &analysis,
                "kill -XCPU $$",
                CompileError::Timeout(Duration::from_secs(5)),
            ),
            (
                &frame(Tag::Memory, b""),
                wait,
                CompileError::Memory(1 << 30),
            ),
            (
                &frame(Tag::Invalid, b"why"),
                wait,
                CompileError::Invalid("why".into()),
            ),
            (
                &analysis,
                "echo memory allocation of 5 bytes failed >&2; kill -ABRT $$",
                CompileError::Memory(1 << 30),
            ),
        ] {
            assert_eq!(failure(&[&hello, says], then).await, error);
        }
    }
}
