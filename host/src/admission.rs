//! Places: how many invocations, fetches or compilations there are at the same time, and whose turn is next.
//!
//! A tenant, and all tokens that come from one, have no more than their share. When all places are taken,
//! requests wait in a queue of their tenant, bounded in length and time, and a place that comes free goes to
//! the waiting tenant that has the fewest. Must not know what a place is for.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};
use webtask_token::LinkId;

/// Places for one kind of work.
pub(crate) struct Places {
    total: u32,
    /// Requests of one tenant that may wait, and how long.
    queue: usize,
    time: Duration,
    /// What happens at the bound of a tenant.
    at_bound: AtBound,
    state: Mutex<State>,
    /// No place is taken.
    idle: Notify,
}

/// What becomes of a request whose tenant or token has all of its places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AtBound {
    /// It is refused at once. It waits for nobody but its own, so its caller should slow down, and a wait
    /// would only hold connections.
    Refuse,
    /// It waits as if all places were taken.
    Wait,
}

/// Who asks, and how many places it may have.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) tenant: Arc<str>,
    pub(crate) tenant_most: u32,
    /// The first link of the token, which all that is made from it have in common.
    pub(crate) root: LinkId,
    pub(crate) root_most: u32,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// All are taken, and no more may wait or the time to wait is over.
    Overloaded,
    /// The tenant has all of its own.
    Tenant,
    /// The token, with those of the same root, has all of its own.
    Token,
}

#[derive(Default)]
struct State {
    taken: u32,
    tenants: HashMap<Arc<str>, u32>,
    roots: HashMap<LinkId, u32>,
    /// Tenants that have somebody waiting.
    waiting: HashMap<Arc<str>, VecDeque<Waiter>>,
    /// The number of the next waiter.
    next: u64,
}

struct Waiter {
    number: u64,
    asking: Asking,
    place: oneshot::Sender<Place>,
}

/// A place that is taken; given back when dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    tenant: Arc<str>,
    root: LinkId,
}

impl Places {
    pub(crate) fn new(total: u32, queue: usize, time: Duration, at_bound: AtBound) -> Arc<Self> {
        Arc::new(Self {
            total,
            queue,
            time,
            at_bound,
            state: Mutex::default(),
            idle: Notify::new(),
        })
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.state().taken
    }

    /// Takes a place, at once or after a bounded wait. Dropping the future gives up the wait.
    pub(crate) async fn take(self: &Arc<Self>, asking: &Asking) -> Result<Place, Refused> {
        let (number, place) = match self.begin(asking)? {
            Begun::Taken(place) => return Ok(place),
            Begun::Waits(number, place) => (number, place),
        };
        let waiting = Waiting {
            places: self,
            tenant: &asking.tenant,
            number,
        };
        let waited = tokio::time::timeout(self.time, place).await;
        drop(waiting);
        match waited {
            Ok(Ok(place)) => Ok(place),
            _ => Err(self.state().bound(asking).unwrap_or(Refused::Overloaded)),
        }
    }

    fn begin(self: &Arc<Self>, asking: &Asking) -> Result<Begun, Refused> {
        let mut state = self.state();
        let bound = state.bound(asking);
        if bound.is_none() && state.taken < self.total {
            state.count(asking);
            return Ok(Begun::Taken(self.place(asking)));
        }
        if let (Some(refused), AtBound::Refuse) = (bound, self.at_bound) {
            return Err(refused);
        }
        let number = state.next;
        let queue = state.waiting.entry(asking.tenant.clone()).or_default();
        if queue.len() >= self.queue {
            if queue.is_empty() {
                state.waiting.remove(&asking.tenant);
            }
            return Err(Refused::Overloaded);
        }
        let (place, waits) = oneshot::channel();
        queue.push_back(Waiter {
            number,
            asking: asking.clone(),
            place,
        });
        state.next = state.next.wrapping_add(1);
        Ok(Begun::Waits(number, waits))
    }

    /// Ready once no place is taken.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if self.state().taken == 0 {
                return;
            }
            idle.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place that is counted already.
    fn place(self: &Arc<Self>, asking: &Asking) -> Place {
        Place {
            places: self.clone(),
            tenant: asking.tenant.clone(),
            root: asking.root,
        }
    }
}

enum Begun {
    Taken(Place),
    Waits(u64, oneshot::Receiver<Place>),
}

impl State {
    /// Which bound of its own `asking` has reached.
    fn bound(&self, asking: &Asking) -> Option<Refused> {
        let taken = |n: Option<&u32>| n.copied().unwrap_or(0);
        if taken(self.roots.get(&asking.root)) >= asking.root_most {
            return Some(Refused::Token);
        }
        (taken(self.tenants.get(&asking.tenant)) >= asking.tenant_most).then_some(Refused::Tenant)
    }

    fn count(&mut self, asking: &Asking) {
        self.taken = self.taken.saturating_add(1);
        let tenant = self.tenants.entry(asking.tenant.clone()).or_default();
        *tenant = tenant.saturating_add(1);
        let root = self.roots.entry(asking.root).or_default();
        *root = root.saturating_add(1);
    }

    fn give_back(&mut self, tenant: &Arc<str>, root: &LinkId) {
        self.taken = self.taken.saturating_sub(1);
        less(&mut self.tenants, tenant);
        less(&mut self.roots, root);
    }

    /// The waiter whose turn it is, if there is one that may: of the tenant with the fewest places, and of
    /// those the one that has waited longest.
    fn next(&mut self) -> Option<Waiter> {
        let first = |queue: &VecDeque<Waiter>| {
            let may = |waiter: &Waiter| self.bound(&waiter.asking).is_none();
            queue.iter().position(may)
        };
        let turns = self.waiting.iter().filter_map(|(tenant, queue)| {
            let at = first(queue)?;
            let taken = self.tenants.get(tenant).copied().unwrap_or(0);
            Some((taken, queue.get(at)?.number, at, tenant))
        });
        let (_, _, at, tenant) = turns.min_by_key(|(taken, number, ..)| (*taken, *number))?;
        let tenant = tenant.clone();
        let queue = self.waiting.get_mut(&tenant)?;
        let waiter = queue.remove(at);
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        }
        waiter
    }
}

/// One less of `key`; none leaves nothing behind.
fn less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Place {
    /// Whose it is.
    pub(crate) fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.give_back(&self.tenant, &self.root);
        let next = match state.waiting.is_empty() {
            true => None,
            false if state.taken < self.places.total => state.next(),
            false => None,
        };
        let Some(waiter) = next else {
            let idle = state.taken == 0;
            drop(state);
            if idle {
                self.places.idle.notify_waiters();
            }
            return;
        };
        state.count(&waiter.asking);
        drop(state);
        // Whoever has left meanwhile gives it back by dropping it.
        let _ = waiter.place.send(self.places.place(&waiter.asking));
    }
}

/// One that waits; its entry goes when it waits no more.
struct Waiting<'a> {
    places: &'a Places,
    tenant: &'a Arc<str>,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if let Some(queue) = state.waiting.get_mut(self.tenant) {
            queue.retain(|waiter| waiter.number != self.number);
            if queue.is_empty() {
                state.waiting.remove(self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests;
