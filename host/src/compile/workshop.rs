//! The engines that compile, two for each generation, without a pool: they never run anything.

use wasmtime::Engine;

use super::{
    Generation,
    engine::{Effort, Fingerprint, config, fingerprint},
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
    best: Engines,
    quick: Engines,
}

struct Engines {
    p2: Engine,
    p3: Engine,
}

impl Engines {
    fn new(effort: Effort) -> wasmtime::Result<Self> {
        let engine = |generation| {
            let mut config = config(generation);
            effort.set(&mut config);
            Engine::new(&config)
        };
        Ok(Self {
            p2: engine(Generation::P2)?,
            p3: engine(Generation::P3)?,
        })
    }
}

impl Workshop {
    pub(super) fn new() -> wasmtime::Result<Self> {
        Ok(Self {
            best: Engines::new(Effort::Best)?,
            quick: Engines::new(Effort::Quick)?,
        })
    }

    /// What its code is for: all engines.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new();
        for engines in [&self.best, &self.quick] {
            hasher.update(&fingerprint(&engines.p2));
            hasher.update(&fingerprint(&engines.p3));
        }
        hasher.finalize().into()
    }

    /// Compiles something, so that the next component does not wait for what is done once.
    pub(super) fn warm(&self) {
        for generation in [Generation::P2, Generation::P3] {
            // Slower without, and nothing else.
            let _ = self.compile(generation, Effort::Quick, SMALL);
        }
    }

    pub(super) fn compile(
        &self,
        generation: Generation,
        effort: Effort,
        wasm: &[u8],
    ) -> wasmtime::Result<Vec<u8>> {
        let engines = match effort {
            Effort::Quick => &self.quick,
            Effort::Best | Effort::Later => &self.best,
        };
        let engine = match generation {
            Generation::P2 => &engines.p2,
            Generation::P3 => &engines.p3,
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
        let code = workshop.compile(Generation::P2, Effort::Quick, SMALL);
        assert!(code.is_ok(), "{code:?}");
    }
}
