//! `wasi:random`, within the limits of one call and of the whole invocation, for both generations of WASI.
//!
//! The numbers are wasmtime's. They are not free: a gigabyte takes a second of the host's own time.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::{p2, p3, random::WasiRandomCtx};

use crate::{Limit, ctx::Ctx, limit::Exceeded, meter::Spent};

/// Takes the place of wasmtime's own, which `linker` has.
pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    p2::bindings::random::random::add_to_linker::<_, HasRandom>(linker, Ctx::random)?;
    p2::bindings::random::insecure::add_to_linker::<_, HasRandom>(linker, Ctx::random)
}

/// The same for WASI 0.3.
pub(super) fn add_p3_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    p3::bindings::random::random::add_to_linker::<_, HasRandom>(linker, Ctx::random)?;
    p3::bindings::random::insecure::add_to_linker::<_, HasRandom>(linker, Ctx::random)
}

struct HasRandom;
impl HasData for HasRandom {
    type Data<'a> = Random<'a>;
}

/// The numbers of one invocation, and what it took of them.
pub(crate) struct Random<'a> {
    pub(crate) from: &'a mut WasiRandomCtx,
    pub(crate) spent: Arc<Spent>,
    /// Bytes in one call.
    pub(crate) at_once: u64,
    /// Bytes in all calls.
    pub(crate) total: u64,
}

impl Random<'_> {
    fn count(&self, bytes: u64) -> wasmtime::Result<()> {
        if self.spent.count_random(bytes) > self.total {
            return Err(self.exceeded(Limit::RandomTotal));
        }
        Ok(())
    }

    fn exceeded(&self, limit: Limit) -> wasmtime::Error {
        self.spent.hit(limit);
        wasmtime::Error::new(Exceeded(limit))
    }

    /// WASI 0.2 has `len` bytes or none.
    fn all(&self, len: u64) -> wasmtime::Result<()> {
        if len > self.at_once {
            return Err(self.exceeded(Limit::RandomBytes));
        }
        self.count(len)
    }

    /// WASI 0.3 has `len` bytes or fewer.
    fn some(&self, len: u64) -> wasmtime::Result<u64> {
        if len > self.at_once {
            self.spent.hit(Limit::RandomBytes);
        }
        let len = len.min(self.at_once);
        self.count(len)?;
        Ok(len)
    }
}

impl p2::bindings::random::random::Host for Random<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.all(len)?;
        p2::bindings::random::random::Host::get_random_bytes(self.from, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.count(8)?;
        p2::bindings::random::random::Host::get_random_u64(self.from)
    }
}

impl p2::bindings::random::insecure::Host for Random<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.all(len)?;
        p2::bindings::random::insecure::Host::get_insecure_random_bytes(self.from, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.count(8)?;
        p2::bindings::random::insecure::Host::get_insecure_random_u64(self.from)
    }
}

impl p3::bindings::random::random::Host for Random<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let len = self.some(len)?;
        p3::bindings::random::random::Host::get_random_bytes(self.from, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.count(8)?;
        p3::bindings::random::random::Host::get_random_u64(self.from)
    }
}

impl p3::bindings::random::insecure::Host for Random<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        let len = self.some(len)?;
        p3::bindings::random::insecure::Host::get_insecure_random_bytes(self.from, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.count(8)?;
        p3::bindings::random::insecure::Host::get_insecure_random_u64(self.from)
    }
}
