//! What one invocation uses of memory, tables and instances, and what it was refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use wasmtime::ResourceLimiter;

use crate::{Limit, Limits, phases::Phases};

/// What an invocation has used so far, for its record: also of one that fails or is cut off.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    memory: AtomicU64,
    cpu_us: AtomicU64,
    calls: AtomicU64,
    out_sent: AtomicU64,
    out_received: AtomicU64,
    pub(crate) phases: Phases,
    random: AtomicU64,
    /// The limits that refused something, a bit for each.
    hit: AtomicU64,
    /// Whether the run is to end at the next tick, and why.
    ending: AtomicU8,
    /// Its author was told that it was ended.
    told: AtomicBool,
}

/// A limit of time that ends a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Cpu = 1,
    Wall = 2,
}

impl Spent {
    /// Has the guest end at its next tick, if it runs: where it was is known then.
    pub(crate) fn end(&self, why: Ending) {
        self.ending.store(why as u8, Ordering::Relaxed);
    }

    /// Why the guest is to end, if it is.
    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.ending.load(Ordering::Relaxed) {
            1 => Some(Ending::Cpu),
            2 => Some(Ending::Wall),
            _ => None,
        }
    }

    pub(crate) fn set_cpu(&self, used: Duration) {
        let used = u64::try_from(used.as_micros()).unwrap_or(u64::MAX);
        self.cpu_us.store(used, Ordering::Relaxed);
    }

    /// Whether nobody has told the author yet that the run was ended: it may fail at its tick while it is given up.
    pub(crate) fn is_first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// Counts an outbound call, granted or not.
    pub(crate) fn count_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes of an outbound request's body.
    pub(crate) fn count_out_sent(&self, bytes: u64) {
        self.out_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of an outbound response's body.
    pub(crate) fn count_out_received(&self, bytes: u64) {
        self.out_received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts random bytes; all of them so far.
    pub(crate) fn count_random(&self, bytes: u64) -> u64 {
        let before = self.random.fetch_add(bytes, Ordering::Relaxed);
        before.saturating_add(bytes)
    }

    /// Remembers that `limit` refused something, or ended the run.
    pub(crate) fn hit(&self, limit: Limit) {
        self.hit.fetch_or(1 << limit as u32, Ordering::Relaxed);
    }

    /// The names of the limits that refused something; none if there are none.
    pub(crate) fn limits(&self) -> Option<String> {
        let names: Vec<_> = self.hits().map(Limit::name).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// The limits that refused something.
    pub(crate) fn hits(&self) -> impl Iterator<Item = Limit> {
        let hit = self.hit.load(Ordering::Relaxed);
        let all = Limit::ALL.iter().copied();
        all.filter(move |limit| hit & (1 << *limit as u32) != 0)
    }

    /// Outbound calls that were tried.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies of outbound requests.
    pub(crate) fn out_sent(&self) -> u64 {
        self.out_sent.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies of outbound responses.
    pub(crate) fn out_received(&self) -> u64 {
        self.out_received.load(Ordering::Relaxed)
    }

    /// CPU time, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        self.cpu_us.load(Ordering::Relaxed)
    }

    /// The most linear memory it held, in bytes: memories never shrink.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }
}

/// The store's limiter: counts all linear memories together and remembers a refusal.
pub(crate) struct Meter {
    memory: usize,
    memory_limit: usize,
    table_limit: usize,
    instances: usize,
    memories: usize,
    tables: usize,
    refused: Option<Limit>,
    spent: Arc<Spent>,
}

impl Meter {
    pub(crate) fn new(limits: &Limits, spent: Arc<Spent>) -> Self {
        Self {
            memory: 0,
            memory_limit: usize::try_from(limits.memory).unwrap_or(usize::MAX),
            table_limit: limits.table_elements,
            instances: limits.instances as usize,
            memories: limits.memories as usize,
            tables: limits.tables as usize,
            refused: None,
            spent,
        }
    }

    /// The limit that refused growth of a memory or table last; a trap after that is its doing.
    pub(crate) fn refused(&self) -> Option<Limit> {
        self.refused
    }

    fn refuse(&mut self, limit: Limit) {
        self.refused = Some(limit);
        self.spent.hit(limit);
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
            self.spent.memory.store(total as u64, Ordering::Relaxed);
        } else {
            self.refuse(Limit::Memory);
        }
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= self.table_limit;
        if !fits {
            self.refuse(Limit::TableElements);
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}
