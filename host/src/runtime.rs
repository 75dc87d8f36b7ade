//! The engine, the linker and the epoch ticker: made once a process.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, Linker},
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{Limits, capability, ctx::Ctx, needs};

/// How often a running guest yields, and so the resolution of every deadline.
const TICK: Duration = Duration::from_millis(10);

/// Compiles components and links them with the host's capabilities.
#[derive(Clone)]
pub(crate) struct Runtime {
    engine: Engine,
    linker: Arc<Linker<Ctx>>,
}

/// A component that is compiled, checked against the world and ready to instantiate.
pub(crate) struct Webtask {
    pub(crate) pre: ProxyPre<Ctx>,
    /// SHA-256 of the component's bytes.
    pub(crate) digest: [u8; 32],
    /// Names of the secrets that it says it needs.
    pub(crate) needs: BTreeSet<String>,
    /// Bytes of the component, before compilation.
    pub(crate) size: usize,
}

impl Runtime {
    pub(crate) fn new(limits: &Limits) -> wasmtime::Result<Self> {
        let engine = engine(limits)?;
        let mut linker = Linker::new(&engine);
        capability::add_to_linker(&mut linker)?;
        // A plain thread: a task could be starved by the very guest that it must interrupt.
        let ticker = engine.weak();
        std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                while let Some(engine) = ticker.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
        })
    }

    /// Compiles and links. Takes CPU time in proportion to `wasm`: call it from a blocking thread.
    pub(crate) fn prepare(&self, wasm: &[u8], digest: [u8; 32]) -> wasmtime::Result<Webtask> {
        let component = Component::new(&self.engine, wasm)?;
        let pre = ProxyPre::new(self.linker.instantiate_pre(&component)?)?;
        Ok(Webtask {
            pre,
            digest,
            needs: needs::of(wasm)?,
            size: wasm.len(),
        })
    }
}

/// The engine with the settings that measured best, or on-demand allocation where the address space
/// does not hold the pool.
fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // WASI 0.2 needs none of it, and a call costs a third less without.
        .concurrency_support(false);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
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
