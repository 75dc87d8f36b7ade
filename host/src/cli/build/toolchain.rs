//! A compiler of WebAssembly components, found or set up by the script of the SDK.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::cli::Failure;

/// One script for this command, for the tests and for `make`: it knows of rustup, and of machines that cannot reach it.
const SCRIPT: &str = include_str!("../../../../guest-sdk/toolchain.sh");

/// The `rustc` to give to cargo for a project in `directory`. Adds the target with rustup if it is missing, and tells on
/// stderr; the system's packages are nobody's to install unasked.
pub(in crate::cli) fn rustc(directory: &Path) -> Result<PathBuf, Failure> {
    let run = Command::new("bash")
        .args(["-c", SCRIPT, "toolchain.sh", "--no-packages"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = run.map_err(|error| {
        Failure::usage(format!("cannot look for a compiler with bash: {error}"))
    })?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() && !path.is_empty() {
        true => Ok(path.into()),
        false => Err(Failure::usage("no compiler for wasm32-wasip2, see above")
            .hint("install Rust from https://rustup.rs and run: rustup target add wasm32-wasip2; where rustup cannot download it, guest-sdk/toolchain.sh makes one from Debian's packages")),
    }
}
