//! Native code that becomes executable: the one place with `unsafe`.
//!
//! wasmtime trusts an artefact as it trusts its own memory: one that somebody else wrote runs as this
//! process. So a [`Code`] is only made of
//!
//! 1. what the compiler of this process returned, or
//! 2. what came through the pipe of a child that this process started from a program with the same
//!    fingerprint, and that has its digest: the pipe has no name, and nobody else holds an end of it.
//!
//! The compiler is trusted with correctness, in the child as in this process: the child bounds what a
//! component can make it *use*. An artefact for another engine is refused by wasmtime before its code is
//! looked at.

use wasmtime::{Engine, component::Component};

/// Native code of one component, from a compiler of this process.
pub(crate) struct Code(Vec<u8>);

impl Code {
    /// `artefact` is what a [`Workshop`](super::workshop::Workshop) returned, here or in a child of this process.
    pub(super) fn compiled(artefact: Vec<u8>) -> Self {
        Self(artefact)
    }

    /// Bytes of it.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The component, whose code `engine` can run.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        #[expect(
            unsafe_code,
            reason = "wasmtime has no safe way to load what another process compiled; the module says why it holds"
        )]
        // SAFETY: `self` is only made by `Code::compiled`, whose callers are the two of the module's list.
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }
}
