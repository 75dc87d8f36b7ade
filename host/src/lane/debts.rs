//! Which tenants had their share of the threads of requests with runs that turned out heavy. Must not know runs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// CPU time, as others felt it, that heavy runs of a tenant may take where they began; as much is forgiven in a second.
/// Runs that begin in step would hold a thread for as many beginnings as there are of them.
const MOST: Duration = Duration::from_millis(4);

/// Beyond it nothing is added: what a tenant did a second ago is forgotten.
const WORST: Duration = Duration::from_millis(8);

/// The part of the time that passes which is forgiven: one in so many.
const FORGIVEN: u32 = 250;

/// Tenants after which those that owe nothing any more are looked for.
const MANY: usize = 1_000;

#[derive(Default)]
pub(super) struct Debts {
    /// Whether anybody may owe something: mostly nobody does, and a request looks no further.
    any: AtomicBool,
    of: Mutex<HashMap<Arc<str>, Debt>>,
}

struct Debt {
    owed: Duration,
    at: Instant,
}

impl Debt {
    fn left(&self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at);
        let forgiven = passed.checked_div(FORGIVEN).unwrap_or_default();
        self.owed.saturating_sub(forgiven)
    }
}

impl Debts {
    /// Others felt so much of a run of `tenant` before it went to the lane.
    pub(super) fn add(&self, tenant: &Arc<str>, used: Duration, now: Instant) {
        let mut of = self.of();
        if of.len() >= MANY {
            of.retain(|_, debt| !debt.left(now).is_zero());
        }
        let debt = of.entry(tenant.clone()).or_insert(Debt {
            owed: Duration::ZERO,
            at: now,
        });
        debt.owed = debt.left(now).saturating_add(used).min(WORST);
        debt.at = now;
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether the runs of `tenant` are to begin on the lane.
    pub(super) fn owes(&self, tenant: &str, now: impl FnOnce() -> Instant) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut of = self.of();
        let Some(left) = of.get(tenant).map(|debt| debt.left(now())) else {
            return false;
        };
        if left.is_zero() {
            of.remove(tenant);
            self.any.store(!of.is_empty(), Ordering::Relaxed);
        }
        left > MOST
    }

    fn of(&self) -> MutexGuard<'_, HashMap<Arc<str>, Debt>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_is_of_its_tenant_and_forgiven_in_time() {
        let (debts, start) = (Debts::default(), Instant::now());
        let owes = |tenant, ms| debts.owes(tenant, || start + Duration::from_millis(ms));
        let tenant = Arc::from("a");
        for _ in 0..2 {
            debts.add(&tenant, Duration::from_millis(2), start);
        }
        assert!(!owes("a", 0), "what it may");
        debts.add(&tenant, Duration::from_millis(500), start);
        assert!(owes("a", 0) && owes("a", 900) && !owes("b", 0));
        assert!(!owes("a", 1_000), "half of the worst is forgiven");
        assert!(!owes("a", 2_000) && debts.of().is_empty());
        assert!(!debts.any.load(Ordering::Relaxed));
    }
}
