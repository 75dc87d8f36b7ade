//! What the runtime is held against, each as a process; what is not there is said and left out.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    process::{Cores, Process},
    webtask::Component,
};

/// Flags of `wasmtime serve` that measured best, beside those that a component needs: a pool of instances that keeps
/// its pages. It cannot do without support for concurrent calls, which WASI 0.2 has no use for.
pub(crate) const BEST: &[&str] = &[
    "-Opooling-allocator=y",
    "-Opooling-pagemap-scan=y",
    "-Opooling-memory-keep-resident=1048576",
    "-Opooling-table-keep-resident=65536",
];
/// Where `make bench` puts `wasmtime`.
pub(crate) fn wasmtime_at(root: &Path) -> Option<PathBuf> {
    let path = root.join("wasmtime/bin/wasmtime");
    if path.exists() {
        return Some(path);
    }
    eprintln!("no {}: its rows are left out", path.display());
    None
}

/// The native server, which serves the files of a directory below `/code/`.
pub(crate) fn native(cores: Cores, files: Option<&Path>) -> io::Result<Process> {
    let beside = std::env::current_exe()?.with_file_name("native");
    let mut command = Command::new(beside);
    command.args(files);
    Process::start(command, cores, 1, None)
}

/// One call of the engine for each request, and nothing of the product.
pub(crate) fn engine(cores: Cores, component: &Component, flags: &[&str]) -> io::Result<Process> {
    let beside = std::env::current_exe()?.with_file_name("engine");
    let mut command = Command::new(beside);
    command.arg(&component.path).args(flags);
    Process::start(command, cores, 1, None)
}

/// A plain HTTP server of Node's, if there is one.
pub(crate) fn node(cores: Cores) -> Option<Process> {
    let mut command = Command::new("node");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node.mjs"));
    started("node", Process::start(command, cores, 1, None))
}

/// `wasmtime serve` of `component`.
pub(crate) fn wasmtime(
    binary: Option<&Path>,
    cores: Cores,
    component: &Component,
    flags: &[&str],
) -> Option<Process> {
    let mut command = Command::new(binary?);
    command
        .args(["serve", "--addr", "127.0.0.1:0", "-Scli,config"])
        .args(flags)
        .arg(&component.path);
    started("wasmtime", Process::start(command, cores, 0, None))
}

fn started(name: &str, process: io::Result<Process>) -> Option<Process> {
    let failed = |error: &io::Error| eprintln!("no {name}, whose rows are left out: {error}");
    process.inspect_err(failed).ok()
}
