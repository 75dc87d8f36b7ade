//! Native code that becomes executable: the one place with `unsafe`.
//!
//! wasmtime trusts an artefact as it trusts its own memory: one that somebody else wrote runs as this
//! process. So a [`Code`] is only made of
//!
//! 1. what the compiler of this process returned;
//! 2. what came through the pipe of a child that this process started from a program with the same
//!    fingerprint, and that has its digest: the pipe has no name, and nobody else holds an end of it;
//! 3. a file in a directory of this user alone whose MAC, under this host's key, over its contents, the
//!    component's digest and the engines' fingerprint was checked, or that was written a moment ago: [`Store`].
//!    It is read-only and never written to again, and what is mapped is the file that was checked, whatever has
//!    its name by now. Only a process of this user, or the system's administrator, can change it in
//!    between; either could as well write to this process's memory.
//!
//! The compiler is trusted with correctness, in the child as in this process: the child bounds what a
//! component can make it *use*. An artefact for another engine is refused by wasmtime before its code is
//! looked at.
//!
//! [`Store`]: super::store::Store

use wasmtime::{Engine, component::Component};

use super::store::Checked;

/// Native code of one component, from a compiler of this host.
pub(crate) struct Code(Of);

enum Of {
    Bytes(Vec<u8>),
    File(Checked),
}

impl Code {
    /// `artefact` is what a [`Workshop`](super::workshop::Workshop) returned, here or in a child of this process.
    pub(super) fn compiled(artefact: Vec<u8>) -> Self {
        Self(Of::Bytes(artefact))
    }

    /// `file` is of this host's own.
    pub(super) fn checked(file: Checked) -> Self {
        Self(Of::File(file))
    }

    /// Bytes of it.
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Of::Bytes(bytes) => bytes.len(),
            Of::File(file) => file.len(),
        }
    }

    /// The artefact, if it is in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Of::Bytes(bytes) => Some(bytes),
            Of::File(_) => None,
        }
    }

    /// The component, whose code `engine` can run.
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        #[expect(
            unsafe_code,
            reason = "wasmtime has no safe way to load what another process compiled; the module says why it holds"
        )]
        // SAFETY: `self` is only made by `compiled` and `checked`, whose callers are those of the module's list.
        unsafe {
            match &self.0 {
                Of::Bytes(bytes) => Component::deserialize(engine, bytes),
                Of::File(file) => Component::deserialize_file(engine, file.path()),
            }
        }
    }
}
