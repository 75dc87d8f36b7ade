//! The engines, their linkers and the epoch ticker: made once a process.
//!
//! One engine for each generation of WASI: what 0.3 needs costs every call of 0.2 half as much again. Which
//! one a component gets, its export says. Must not know requests.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use wasmtime::{
    Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::Linker,
};
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};

use crate::{
    Limits, capability,
    compile::{self, Compiled, Generation},
    ctx::Ctx,
    lines::Lines,
    loader::Permitted,
    tenant::asked_of_policies,
    text::hex,
};

/// How often a running guest yields, and so the resolution of every deadline. It is also how long a request
/// waits for a worker on which another guest spins, before that one goes to the heavy lane.
const TICK: Duration = Duration::from_millis(2);

/// What a stack has for host calls beside what the guest may use: wasmtime's own stack has as much.
const HOST_STACK: usize = 3 << 19;

/// About what a webtask takes in memory beside its code and its lines: names, and what wasmtime keeps of it.
const OVERHEAD: usize = 64 << 10;

/// Stacks for each invocation of WASI 0.3. Rust's take one.
const STACKS: u32 = 4;

/// Loads compiled components and links them with the host's capabilities.
#[derive(Clone)]
pub(crate) struct Runtime {
    limits: Limits,
    p2: Linked,
    /// Made for the first component that asks for it: its pool takes as much address space as the other.
    p3: Arc<Mutex<Option<Linked>>>,
    ticker: Ticker,
}

/// An engine, and everything that a component of its generation may import.
#[derive(Clone)]
struct Linked {
    engine: Engine,
    linker: Arc<Linker<Ctx>>,
}

/// A component that is compiled, checked against the world and ready to instantiate.
pub(crate) struct Webtask {
    pub(crate) pre: Pre,
    /// SHA-256 of the component's bytes.
    pub(crate) digest: [u8; 32],
    /// The same in hexadecimal, for whatever is written about a request.
    pub(crate) component: Arc<str>,
    /// Names of the secrets that it says it needs.
    pub(crate) needs: BTreeSet<String>,
    /// Names of its imports that a policy could refuse.
    pub(crate) imports: Vec<String>,
    /// Bytes of its native code and of its tables of lines, and about what it takes beside them.
    pub(crate) size: usize,
    /// Its source lines, for backtraces.
    pub(crate) lines: Arc<Lines>,
    /// Under which URLs it may run.
    pub(crate) permitted: Permitted,
}

/// What is instantiated for an invocation, by the generation of WASI that the component exports.
#[derive(Clone)]
pub(crate) enum Pre {
    /// `wasi:http/incoming-handler@0.2`
    P2(ProxyPre<Ctx>),
    /// `wasi:http/handler@0.3`
    P3(ServicePre<Ctx>),
}

impl Pre {
    pub(crate) fn engine(&self) -> &Engine {
        match self {
            Self::P2(pre) => pre.engine(),
            Self::P3(pre) => pre.engine(),
        }
    }
}

impl Runtime {
    pub(crate) fn new(limits: &Limits) -> wasmtime::Result<Self> {
        let p2 = Linked::new(Generation::P2, limits)?;
        Ok(Self {
            ticker: Ticker::start(&p2.engine)?,
            limits: limits.clone(),
            p2,
            p3: Arc::default(),
        })
    }

    /// Links what was compiled. Takes a fraction of a millisecond, and some for the first component of its
    /// generation: call it from a blocking thread.
    pub(crate) fn link(
        &self,
        compiled: Compiled,
        digest: [u8; 32],
        lines: Lines,
    ) -> wasmtime::Result<Webtask> {
        let Compiled { analysis, code } = compiled;
        let generation = analysis.generation;
        let Linked { engine, linker } = match generation {
            Generation::P2 => self.p2.clone(),
            Generation::P3 => self.p3()?,
        };
        let pre = linker.instantiate_pre(&code.load(&engine)?)?;
        Ok(Webtask {
            pre: match generation {
                Generation::P2 => Pre::P2(ProxyPre::new(pre)?),
                Generation::P3 => Pre::P3(ServicePre::new(pre)?),
            },
            digest,
            component: hex(&digest).into(),
            needs: analysis.needs,
            imports: asked_of_policies(analysis.imports),
            size: code
                .len()
                .saturating_add(lines.bytes())
                .saturating_add(OVERHEAD),
            lines: Arc::new(lines),
            permitted: Permitted::default(),
        })
    }

    fn p3(&self) -> wasmtime::Result<Linked> {
        let mut made = self.p3.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linked) = &*made {
            return Ok(linked.clone());
        }
        let linked = Linked::new(Generation::P3, &self.limits)?;
        self.ticker.add(&linked.engine);
        Ok(made.insert(linked).clone())
    }
}

impl Linked {
    fn new(generation: Generation, limits: &Limits) -> wasmtime::Result<Self> {
        let engine = engine(generation, limits)?;
        let mut linker = Linker::new(&engine);
        capability::add_to_linker(&mut linker)?;
        if generation == Generation::P3 {
            capability::add_p3_to_linker(&mut linker)?;
        }
        Ok(Self {
            engine,
            linker: Arc::new(linker),
        })
    }
}

/// Moves the epochs of all engines on. It ends with the last engine.
#[derive(Clone)]
struct Ticker(Arc<Mutex<Vec<EngineWeak>>>);

impl Ticker {
    fn start(engine: &Engine) -> wasmtime::Result<Self> {
        let engines = Arc::new(Mutex::new(vec![engine.weak()]));
        let ticked = engines.clone();
        let tick = move |engine: &EngineWeak| {
            let engine = engine.upgrade();
            engine.inspect(Engine::increment_epoch).is_some()
        };
        // A plain thread: a task could be starved by the very guest that it must interrupt.
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                loop {
                    let mut engines = ticked.lock().unwrap_or_else(PoisonError::into_inner);
                    engines.retain(tick);
                    if engines.is_empty() {
                        return;
                    }
                    drop(engines);
                    std::thread::sleep(TICK);
                }
            })?;
        Ok(Self(engines))
    }

    fn add(&self, engine: &Engine) {
        let mut engines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        engines.push(engine.weak());
    }
}

/// The engine with the settings that measured best, or on-demand allocation where the address space
/// does not hold the pool.
fn engine(generation: Generation, limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = compile::config(generation);
    let stack = usize::try_from(limits.stack).unwrap_or(usize::MAX);
    // wasmtime takes no stack of nothing.
    config.max_wasm_stack(stack.max(1));
    config.async_stack_size(stack.saturating_add(HOST_STACK));
    let mut pool = pool(limits);
    if generation == Generation::P3 {
        // A component made of several may have a task that waits in each, and each wait holds a stack.
        pool.total_stacks(limits.invocations.saturating_mul(STACKS));
    }
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).or_else(|error| {
        tracing::warn!(%error, "no pool of instances; falling back to allocation on demand, which is slower");
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    })
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let runs = limits.invocations;
    // What one invocation may have, times all of them: no mix of guests exhausts the pool.
    pool.max_core_instances_per_component(limits.instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .total_component_instances(runs)
        .total_core_instances(runs.saturating_mul(limits.instances))
        .total_memories(runs.saturating_mul(limits.memories))
        .total_tables(runs.saturating_mul(limits.tables))
        .total_stacks(runs)
        // A slot whose last instance was of the same component starts without a system call; for another one its
        // memory is mapped anew. wasmtime would keep a hundred such slots, for a thousand components too few.
        .max_unused_warm_slots(runs.saturating_mul(limits.memories))
        .table_elements(limits.table_elements)
        .max_memory_size(usize::try_from(limits.memory).unwrap_or(usize::MAX));
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(1 << 20)
            .table_keep_resident(64 << 10);
    } else {
        // Keeping pages without the scan costs more than giving them back in batches.
        pool.decommit_batch_size(16);
    }
    pool
}
