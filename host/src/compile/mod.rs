//! From the bytes of a component to native code, away from everything else: what is compiled is hostile.
//!
//! A component is read and compiled in a process of its own, which has bounds of memory and CPU time and
//! nothing to lose: [`process`] is its owner and [`worker`] its inside. [`workshop`] is what both ways of
//! compiling share, [`store`] keeps what they made, and [`code`] is where it becomes executable. Must not know
//! tokens, URLs or requests.

mod analysis;
mod code;
mod engine;
mod process;
mod store;
mod wire;
mod worker;
mod workshop;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

pub(crate) use analysis::{Analysis, Generation};
pub(crate) use code::Code;
pub(crate) use engine::config;
pub(crate) use store::Store;
pub use store::StoreError;
pub use worker::compile_worker;

use crate::{
    Limits, StartError,
    admission::{Asking, AtBound, Place, Places},
};
use process::Shop;
use workshop::Workshop;

/// Components of one tenant that wait for a compiler: each is held in memory meanwhile.
const WAITING: usize = 16;

/// Where components are compiled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Compiler {
    /// In this process, for tests and for embedding with components that are trusted. The limit `compile`
    /// bounds how long anybody waits and cannot end the work, and nothing bounds its memory.
    #[default]
    InProcess,
    /// In a process of its own for each component, which the limits `compile` and `compile-memory` end.
    ///
    /// The path is of a program that hands its first argument `compile-worker` and the numbers after it to
    /// [`compile_worker`], as `webtask` does. With `/proc/self/exe` it is this very program, whatever has
    /// become of its file since; one of another version is refused.
    Process(PathBuf),
}

/// What a component shows of itself, and its native code.
pub(crate) struct Compiled {
    pub(crate) analysis: Analysis,
    pub(crate) code: Code,
}

/// Why a component was not compiled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum CompileError {
    /// No place among the compilers within the time to compile.
    Busy,
    /// The compiler could not be started, crashed, was killed, or did not answer as it must.
    Failed(String),
    /// The component cannot be compiled, and says why.
    Invalid(String),
    /// Compiling took more memory than the limit, in bytes.
    Memory(u64),
    /// Compiling took longer than the limit.
    Timeout(Duration),
    /// The native code is larger than the limit, in bytes.
    TooLarge(u64),
}

/// The numbers that bound one compilation.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Wall-clock time, and how long a place is waited for.
    time: Duration,
    /// Bytes of private memory of the compiler.
    memory: u64,
    /// Bytes of the component.
    component: u64,
    /// Bytes of the native code.
    compiled: u64,
    /// Threads of one compiler.
    threads: usize,
}

/// All compilers of this process: so many at a time, each for one component.
pub(crate) struct Compilers {
    bounds: Bounds,
    places: Arc<Places>,
    of_tenant: u32,
    how: How,
    /// What keeps native code beyond this process.
    pub(crate) store: Option<Arc<Store>>,
}

enum How {
    InProcess(Arc<Workshop>),
    Process(Arc<Shop>),
}

/// Says of a component that was read, and is not compiled yet, why it is not to be.
pub(crate) type Objection = Box<dyn Fn(&Analysis) -> Option<String> + Send>;

impl Compilers {
    /// With a `cache`, the directory that keeps native code.
    pub(crate) fn new(
        compiler: Compiler,
        cache: Option<&Path>,
        limits: &Limits,
    ) -> Result<Self, StartError> {
        let bounds = Bounds {
            time: limits.compile,
            memory: limits.compile_memory,
            component: limits.component_bytes,
            compiled: limits.compiled_bytes,
            threads: threads(),
        };
        let compilers = u32::try_from(limits.compilers).unwrap_or(u32::MAX);
        let workshop = Workshop::new().map_err(StartError::Engine)?;
        let open = |path| {
            let (compiled, all) = (limits.compiled_bytes, limits.cache_disk_bytes);
            Store::open(path, workshop.fingerprint(), compiled, all)
        };
        Ok(Self {
            store: cache.map(open).transpose()?.map(Arc::new),
            how: match compiler {
                Compiler::InProcess => How::InProcess(Arc::new(workshop)),
                Compiler::Process(program) => {
                    How::Process(Shop::new(program, bounds, workshop.fingerprint()))
                }
            },
            places: Places::new(compilers, WAITING, bounds.time, AtBound::Wait),
            of_tenant: (compilers / 2).max(1),
            bounds,
        })
    }

    /// The most of them for one tenant: another one's code never waits for all.
    pub(crate) fn of_tenant(&self) -> u32 {
        self.of_tenant
    }

    /// A place to compile, at once or after a bounded wait.
    pub(crate) async fn place(&self, asking: &Asking) -> Result<Place, CompileError> {
        let taken = self.places.take(asking).await;
        taken.map_err(|_| CompileError::Busy)
    }

    /// Compiles `wasm`, unless `objection` has one to what it shows of itself.
    ///
    /// Keeps what comes of it as that of `digest`. Dropping the future ends the compiler.
    pub(crate) async fn compile(
        &self,
        wasm: Bytes,
        digest: [u8; 32],
        place: Place,
        objection: Objection,
    ) -> Result<Compiled, CompileError> {
        let compiled = self.compile_anew(wasm, place, objection).await?;
        let Some(store) = self.store.clone() else {
            return Ok(compiled);
        };
        let put = store.clone();
        let kept = tokio::task::spawn_blocking(move || put.put(&digest, compiled)).await;
        // Nobody waits for it.
        tokio::task::spawn_blocking(move || store.tidy());
        kept.map_err(|panic| CompileError::Failed(panic.to_string()))
    }

    async fn compile_anew(
        &self,
        wasm: Bytes,
        place: Place,
        objection: Objection,
    ) -> Result<Compiled, CompileError> {
        match &self.how {
            How::Process(shop) => shop.clone().compile(wasm, objection, place).await,
            How::InProcess(workshop) => {
                let (workshop, bounds) = (workshop.clone(), self.bounds);
                let work = move || {
                    // The thread holds the place: a compilation that nobody awaits any more still counts.
                    let _place = place;
                    let analysis = Analysis::of(&wasm).map_err(CompileError::Invalid)?;
                    if let Some(reason) = objection(&analysis) {
                        return Err(CompileError::Invalid(reason));
                    }
                    let code = workshop.compile(analysis.generation, &wasm);
                    let code = code.map_err(|error| CompileError::Invalid(format!("{error:#}")))?;
                    if code.len() as u64 > bounds.compiled {
                        return Err(CompileError::TooLarge(bounds.compiled));
                    }
                    let code = Code::compiled(code);
                    Ok(Compiled { analysis, code })
                };
                let work = tokio::task::spawn_blocking(work);
                match tokio::time::timeout(bounds.time, work).await {
                    Ok(Ok(compiled)) => compiled,
                    Ok(Err(panic)) => Err(CompileError::Failed(panic.to_string())),
                    Err(_) => Err(CompileError::Timeout(bounds.time)),
                }
            }
        }
    }
}

/// Threads of one compiler: more of them make a component of usual size no faster, and each has a stack.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}
