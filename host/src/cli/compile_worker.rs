//! `webtask compile-worker`: what a host starts of its own program, for one component. Not for people.

use std::path::PathBuf;

use clap::Args;
use webtask_host::{Compiler, compile_worker};

use super::Failure;

/// Compile the component on stdin, within bounds that cannot be raised again
#[derive(Args, Debug)]
pub(crate) struct CompileWorkerCommand {
    /// Bytes of private memory
    memory: u64,
    /// Seconds of CPU time
    cpu: u64,
    /// Bytes of the component
    component: u64,
}

impl CompileWorkerCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        compile_worker(self.memory, self.cpu, self.component)
            .map_err(|error| Failure::usage(format!("the compiler failed: {error}")))
    }
}

/// The program that runs, whatever has become of its file since it was started.
pub(super) fn this_program() -> Compiler {
    Compiler::Process(PathBuf::from("/proc/self/exe"))
}
