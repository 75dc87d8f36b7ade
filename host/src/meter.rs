//! What one invocation uses of memory, tables and instances, and what it was refused.

use wasmtime::ResourceLimiter;

use crate::Limits;

/// The store's limiter: counts all linear memories together and remembers a refusal.
pub(crate) struct Meter {
    memory: usize,
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    refused: bool,
}

impl Meter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory: 0,
            memory_limit: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            table_limit: limits.table_elements,
            instances: limits.instances,
            refused: false,
        }
    }

    /// The most linear memory the invocation held, in bytes: memories never shrink.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether growth of a memory or table was refused; a trap after that is the limit's doing.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        let fits = total <= self.memory_limit;
        if fits {
            self.memory = total;
        }
        self.refused |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_limit;
        self.refused |= !fits;
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.instances
    }

    fn memories(&self) -> usize {
        self.instances
    }
}
