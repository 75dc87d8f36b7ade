//! The inside of a compiler's process: one component in, one answer out, and the end.
//!
//! Has no environment, no files and no network of its own use; must not know where a component is from. What
//! it reads is hostile, and what it says is believed only as far as its owner can check it.

use std::io::{self, Read as _, Write as _};

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use super::{
    Analysis,
    wire::{self, Tag},
    workshop::Workshop,
};

/// Open files: the three pipes, and what the standard library opens to count the processors.
const FILES: u64 = 16;

/// How much less of a busy processor a compiler gets than what serves requests: about a third.
const NICE: i32 = 5;

/// Bytes of the text of an error: some quote the component.
const REASON: usize = 4 << 10;

/// Compiles the component on stdin to stdout, in the form that a [`Host`](crate::Host) with
/// [`Compiler::Process`](crate::Compiler::Process) asks for.
///
/// First gives up what it does not need for ever: memory beyond `memory` bytes, CPU time beyond `cpu`
/// seconds, all but a few open files, files that grow, core dumps, and its place before others on the
/// processor. So the process is good for nothing else. A component is at most `component` bytes.
///
/// # Errors
/// The limits cannot be set, or stdin or stdout fails: the owner is gone.
pub fn compile_worker(memory: u64, cpu: u64, component: u64) -> io::Result<()> {
    for (resource, limit) in [
        // And not `As`, which counts what the allocators set aside and never touch: a quarter of a GiB.
        (Resource::Data, memory),
        (Resource::Cpu, cpu),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, FILES),
    ] {
        lower(resource, limit)?;
    }
    nice(NICE)?;
    rustix::thread::set_no_new_privs(true)?;
    let workshop = Workshop::new().map_err(|error| io::Error::other(format!("{error:#}")))?;
    workshop.warm();
    let mut out = io::stdout().lock();
    out.write_all(&wire::hello(&workshop.fingerprint()))?;
    out.flush()?;
    // An owner that ends before it has a component for this process ends it, too.
    let Some(wasm) = component_on_stdin(component)? else {
        return Ok(());
    };
    let analysis = match Analysis::of(&wasm) {
        Ok(analysis) => analysis,
        Err(reason) => return send(&mut out, Tag::Invalid, cut(&reason)),
    };
    send(&mut out, Tag::Analysis, &serde_json::to_vec(&analysis)?)?;
    match workshop.compile(analysis.generation, &wasm) {
        Ok(code) => send(&mut out, Tag::Code, &code),
        Err(error) if error.is::<wasmtime::OutOfMemory>() => send(&mut out, Tag::Memory, &[]),
        Err(error) => send(&mut out, Tag::Invalid, cut(&format!("{error:#}"))),
    }
}

/// Lowers a limit for ever. One that is lower already stays.
fn lower(resource: Resource, to: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let least = |now: Option<u64>| Some(now.map_or(to, |now| now.min(to)));
    let limit = Rlimit {
        current: least(now.current),
        maximum: least(now.maximum),
    };
    Ok(setrlimit(resource, limit)?)
}

/// The component; `None` if there is none.
fn component_on_stdin(most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut stdin = io::stdin().lock();
    let mut length = [0; 8];
    match stdin.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u64::from_le_bytes(length);
    if length > most {
        return Err(io::Error::other("the component is larger than its bound"));
    }
    let mut wasm = Vec::new();
    stdin.take(length).read_to_end(&mut wasm)?;
    if wasm.len() as u64 != length {
        return Ok(None);
    }
    Ok(Some(wasm))
}

fn send(out: &mut impl io::Write, tag: Tag, payload: &[u8]) -> io::Result<()> {
    out.write_all(&wire::head(tag, payload))?;
    out.write_all(payload)?;
    out.flush()
}

fn cut(reason: &str) -> &[u8] {
    let end = reason.floor_char_boundary(REASON);
    reason.get(..end).unwrap_or_default().as_bytes()
}
