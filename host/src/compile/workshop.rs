//! The engines that compile, one for each generation, without a pool: they never run anything.

use wasmtime::Engine;

use super::{
    Generation,
    engine::{Fingerprint, config, fingerprint},
};

/// A component with one core module of one function: to compile it starts the threads of the compiler and
/// brings it into memory.
const SMALL: &[u8] = b"\0asm\x0d\0\x01\0\
    \x01\x1c\0asm\x01\0\0\0\
    \x01\x06\x01\x60\x01\x7f\x01\x7f\
    \x03\x02\x01\0\
    \x0a\x06\x01\x04\0\x20\0\x0b";

/// Compiles components to artefacts.
pub(super) struct Workshop {
    p2: Engine,
    p3: Engine,
}

impl Workshop {
    pub(super) fn new() -> wasmtime::Result<Self> {
        Ok(Self {
            p2: Engine::new(&config(Generation::P2))?,
            p3: Engine::new(&config(Generation::P3))?,
        })
    }

    /// What its code is for: both engines.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&fingerprint(&self.p2));
        hasher.update(&fingerprint(&self.p3));
        hasher.finalize().into()
    }

    /// Compiles something, so that the next component does not wait for what is done once.
    pub(super) fn warm(&self) {
        for generation in [Generation::P2, Generation::P3] {
            // Slower without, and nothing else.
            let _ = self.compile(generation, SMALL);
        }
    }

    pub(super) fn compile(&self, generation: Generation, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
        let engine = match generation {
            Generation::P2 => &self.p2,
            Generation::P3 => &self.p3,
        };
        engine.precompile_component(wasm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_component_compiles() {
        let workshop = Workshop::new().expect("engines");
        let code = workshop.compile(Generation::P2, SMALL);
        assert!(code.is_ok(), "{code:?}");
    }
}
