//! `Logs`: the lines that authors read live, by tenant. Owns the history of each tenant and who is told of a new
//! line; must not know tokens, HTTP or guests.
//!
//! Whoever writes a line takes two short locks, one of them shared with other tenants for a look into a map, and does
//! work that is bounded whether anybody reads or not: a reader that does not keep up loses lines, and is told how many.

mod line;
mod reader;
mod stream;
mod tenant;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

pub(crate) use line::{About, Ended, Filter, Level, Scope, What};
pub(crate) use reader::Reader;
pub use stream::LogBody;
pub(crate) use stream::Source;

use crate::Limits;
use line::Line;
use tenant::TenantLog;

/// Maps of tenants; a tenant's name says which one it is in.
const SHARDS: usize = 32;
/// The history of a tenant that wrote nothing for so long is given back.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How often idle tenants are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// How much is kept, from [`Limits`].
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Bytes of one tenant.
    bytes: u64,
    /// Lines of one tenant.
    lines: usize,
    /// Bytes of all tenants.
    total: u64,
}

/// The lines of one process.
pub(crate) struct Logs {
    shared: Arc<Shared>,
    /// Whether readers are to end.
    ended: watch::Sender<bool>,
}

struct Shared {
    /// What no other process has: a reader that comes back after a restart is told that lines are missing.
    process: String,
    bounds: Bounds,
    shards: Vec<Mutex<HashMap<Arc<str>, Arc<TenantLog>>>>,
    hasher: RandomState,
    /// Bytes of all histories.
    total: AtomicU64,
    /// Of tenants' logs, so that no two count from the same number.
    generations: AtomicU64,
    /// A task looks for idle tenants.
    watched: AtomicBool,
    /// A task makes room.
    making_room: AtomicBool,
}

/// Where a reader left off: the field `last-event-id`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Position {
    process: String,
    number: u64,
}

impl std::str::FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (process, number) = text.split_once('-').ok_or(())?;
        let number = u64::from_str_radix(number, 16).map_err(|_| ())?;
        let process = process.to_owned();
        Ok(Self { process, number })
    }
}

impl Logs {
    /// `process` stands in every id.
    pub(crate) fn new(process: &str, limits: &Limits) -> Self {
        let shared = Shared {
            process: process.to_owned(),
            bounds: Bounds {
                bytes: limits.log_history,
                lines: limits.log_history_lines,
                total: limits.log_history_total,
            },
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            total: AtomicU64::new(0),
            generations: AtomicU64::new(0),
            watched: AtomicBool::new(false),
            making_room: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
            ended: watch::Sender::new(false),
        }
    }

    /// One line, masked and escaped already, to the history of its tenant and to its readers.
    pub(crate) fn write(&self, about: &Arc<About>, level: Level, what: What) {
        let Some(log) = self.shared.of(&about.tenant) else {
            return;
        };
        let line = Line::new(about.clone(), level, what);
        log.write(line, self.shared.bounds, &self.shared.total);
        let total = self.shared.bounds.total;
        let high = total.saturating_sub(total / 8);
        if self.shared.total.load(Ordering::Relaxed) > high {
            self.shared.make_room();
        }
        self.shared.watch();
    }

    /// A reader of the lines of `tenant` that pass the filter, after `position` or from the beginning of the history.
    pub(crate) fn read(
        &self,
        tenant: &Arc<str>,
        filter: Filter,
        position: Option<Position>,
    ) -> Reader {
        let process = &self.shared.process;
        match self.shared.of(tenant) {
            Some(log) => Reader::new(log, process, filter, position),
            None => Reader::none(process, filter),
        }
    }

    /// Ends all readers, and those to come.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Tells when readers are to end.
    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }
}

impl Shared {
    /// The log of a tenant, made if it has none. There is always a shard.
    fn of(&self, tenant: &Arc<str>) -> Option<Arc<TenantLog>> {
        let at = self.hasher.hash_one(&**tenant) as usize % SHARDS;
        let mut shard = lock(self.shards.get(at)?);
        if let Some(log) = shard.get(tenant) {
            return Some(log.clone());
        }
        let generation = self.generations.fetch_add(1, Ordering::Relaxed);
        let log = Arc::new(TenantLog::new(generation));
        shard.insert(tenant.clone(), log.clone());
        Some(log)
    }

    /// Sees to it that idle tenants' histories go, once there are any.
    fn watch(self: &Arc<Self>) {
        if self.watched.load(Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        runtime.spawn(watch(Arc::downgrade(self)));
    }

    /// Sees to it that the histories that nobody wrote to for longest go, until an eighth is free. What comes before
    /// that is done finds the limit itself.
    fn make_room(self: &Arc<Self>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.making_room.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = self.clone();
        runtime.spawn_blocking(move || {
            shared.forget_oldest();
            shared.making_room.store(false, Ordering::Relaxed);
        });
    }

    fn forget_oldest(&self) {
        let mut logs: Vec<(Instant, Arc<TenantLog>)> = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            logs.extend(shard.values().map(|log| (log.last(), log.clone())));
        }
        logs.sort_by_key(|(last, _)| *last);
        let low = self.bounds.total.saturating_sub(self.bounds.total / 4);
        for (_, log) in logs {
            if self.total.load(Ordering::Relaxed) <= low {
                return;
            }
            log.forget(&self.total);
        }
    }

    /// Forgets tenants that are idle; whether any is left.
    fn sweep(&self, now: Instant) -> bool {
        let mut left = false;
        for shard in &self.shards {
            let mut shard = lock(shard);
            shard.retain(|_, log| {
                let idle = now.saturating_duration_since(log.last()) >= IDLE;
                // Nobody else has it, and while the shard is locked nobody gets it.
                if idle && Arc::strong_count(log) == 1 {
                    log.forget(&self.total);
                    return false;
                }
                true
            });
            left |= !shard.is_empty();
            if shard.is_empty() {
                shard.shrink_to_fit();
            }
        }
        left
    }
}

async fn watch(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if !shared.sweep(Instant::now()) {
            shared.watched.store(false, Ordering::Relaxed);
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
