//! What of an engine decides what its code looks like: the same for who compiles and for who runs.

use std::hash::{Hash as _, Hasher};

use wasmtime::{Config, Engine, WasmBacktraceDetails};

use super::Generation;

/// Names an engine's code: two engines with the same one run each other's.
pub(crate) type Fingerprint = [u8; 32];

// Code of strangers is compiled by Cranelift as it is by default, and by nothing else. Winch, and Cranelift's
// `SinglePass` allocator of registers, would be there in a sixth and in half of the time; both are a second way for
// hostile code to get the better of a compiler, and upstream issues no advisories for the latter.
/// The settings of the engine for `generation`, but for how instances are allocated.
pub(crate) fn config(generation: Generation) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Of the environment otherwise, and a compiler's is empty. `Lines` reads source lines, within bounds.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    match generation {
        // WASI 0.2 needs none of it, and a call costs a third less without.
        Generation::P2 => config.concurrency_support(false),
        Generation::P3 => config.wasm_component_model_async(true),
    };
    config
}

/// The fingerprint of `engine`: its target, flags and features, wasmtime's version and this package's.
pub(crate) fn fingerprint(engine: &Engine) -> Fingerprint {
    let mut absorb = Absorb(blake3::Hasher::new());
    env!("CARGO_PKG_VERSION").hash(&mut absorb);
    engine.precompile_compatibility_hash().hash(&mut absorb);
    absorb.0.finalize().into()
}

/// A `Hasher` whose 64 bits nobody reads.
struct Absorb(blake3::Hasher);

impl Hasher for Absorb {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// The compiler's engines have no pool, the host's have one.
    #[test]
    fn a_pool_does_not_change_the_code() {
        use wasmtime::{InstanceAllocationStrategy, PoolingAllocationConfig};
        let mut prints = Vec::new();
        for generation in [Generation::P2, Generation::P3] {
            let plain = fingerprint(&Engine::new(&config(generation)).unwrap());
            let mut pooled = config(generation);
            let mut pool = PoolingAllocationConfig::new();
            pool.total_memories(4).total_stacks(4);
            pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
            assert_eq!(plain, fingerprint(&Engine::new(&pooled).unwrap()));
            prints.push(plain);
        }
        assert_ne!(prints.first(), prints.get(1), "each generation has its own");
    }

    #[test]
    fn another_setting_has_another_fingerprint() {
        let print = |config: &Config| fingerprint(&Engine::new(config).unwrap());
        let mut other = config(Generation::P2);
        other.epoch_interruption(false);
        assert_ne!(print(&config(Generation::P2)), print(&other));
    }
}
