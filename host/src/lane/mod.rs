//! The heavy lane: where runs go on that have shown to need CPU time.
//!
//! A run begins in the task of its request, which costs nothing. One that uses more than a little CPU time, or is of
//! a tenant that had too many of those a moment ago, is moved here, to threads of low priority: the kernel takes the processor from them as soon as another
//! request wants it. On the lane, runs take turns of a tick by tenant, so that a hundred runs of one tenant
//! do not starve the single run of another. Timers, sockets and spawned tasks stay with the runtime that the
//! run came from; only its polls move. Must not know guests, limits or requests.

mod debts;
mod job;
mod weighed;

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    num::NonZero,
    sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError},
    thread,
};

use debts::Debts;
use job::Job;
pub(crate) use weighed::Weighed;

/// The niceness of the lane's threads: weight 110 against the 1,024 of a request's. A waking request preempts
/// them, and a machine that is full of requests still leaves them a tenth.
const NICE: i32 = 10;

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is one of a lane.
pub(crate) fn here() -> bool {
    HERE.get()
}

/// Threads of low priority, and the runs that take turns on them. The threads start with the first run, one
/// for each processor, and end with the lane.
pub(crate) struct Lane {
    shared: Arc<Shared>,
    started: Once,
    debts: Debts,
}

struct Shared {
    turns: Mutex<Turns<Arc<Job>>>,
    /// There is a job, or the lane ends.
    ready: Condvar,
}

impl Lane {
    pub(crate) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                turns: Mutex::new(Turns::new()),
                ready: Condvar::new(),
            }),
            started: Once::new(),
            debts: Debts::default(),
        }
    }

    /// Starts the threads, once. Without any, runs stay where they are: `false`.
    fn start(&self) -> bool {
        self.started.call_once(|| {
            let threads = thread::available_parallelism().map_or(1, NonZero::get);
            let started = (0..threads).filter(|_| self.shared.clone().thread().is_ok());
            let started = started.count();
            self.shared.turns().threads = started;
            if started < threads {
                tracing::warn!(started, threads, "threads for heavy runs did not start");
            }
        });
        self.shared.turns().threads > 0
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.turns().ended = true;
        self.shared.ready.notify_all();
    }
}

impl Shared {
    fn turns(&self) -> MutexGuard<'_, Turns<Arc<Job>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `job` behind the others of its tenant.
    fn push(&self, job: Arc<Job>) {
        let tenant = job.tenant().clone();
        self.turns().push(tenant, job);
        self.ready.notify_one();
    }

    fn thread(self: Arc<Self>) -> std::io::Result<thread::JoinHandle<()>> {
        let work = move || {
            HERE.set(true);
            lower_priority();
            while let Some(job) = self.next() {
                job.run();
            }
        };
        thread::Builder::new().name("heavy".into()).spawn(work)
    }

    /// The next in turn; `None` when the lane has ended.
    fn next(&self) -> Option<Arc<Job>> {
        let mut turns = self.turns();
        loop {
            if turns.ended {
                return None;
            }
            if let Some(job) = turns.pop() {
                return Some(job);
            }
            turns = self
                .ready
                .wait(turns)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// On Linux the priority is that of the calling thread alone.
fn lower_priority() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "heavy runs have the priority of requests");
    }
}

/// Whose turn it is: round over the tenants, and first come first served within each.
struct Turns<T> {
    /// Tenants that have something waiting, each once.
    round: VecDeque<Arc<str>>,
    waiting: HashMap<Arc<str>, VecDeque<T>>,
    threads: usize,
    ended: bool,
}

impl<T> Turns<T> {
    fn new() -> Self {
        Self {
            round: VecDeque::new(),
            waiting: HashMap::new(),
            threads: 0,
            ended: false,
        }
    }

    fn push(&mut self, tenant: Arc<str>, item: T) {
        let of_tenant = self.waiting.entry(tenant.clone()).or_default();
        if of_tenant.is_empty() {
            self.round.push_back(tenant);
        }
        of_tenant.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        let tenant = self.round.pop_front()?;
        let of_tenant = self.waiting.get_mut(&tenant)?;
        let item = of_tenant.pop_front();
        if of_tenant.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.round.push_back(tenant);
        }
        item
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn tenants_take_turns_however_many_runs_each_has() {
        let mut turns = Turns::new();
        let (many, one): (Arc<str>, Arc<str>) = ("many".into(), "one".into());
        for n in 0..100 {
            turns.push(many.clone(), n);
        }
        turns.push(one.clone(), 1_000);
        assert_eq!([turns.pop(), turns.pop()], [Some(0), Some(1_000)]);
        // Each goes to the end of its own tenant's queue.
        turns.push(many, 0);
        turns.push(one, 1_000);
        assert_eq!([turns.pop(), turns.pop()], [Some(1), Some(1_000)]);
        let rest: Vec<_> = std::iter::from_fn(|| turns.pop()).collect();
        assert_eq!(rest.len(), 99);
        assert_eq!(rest.last(), Some(&0));
        assert!(turns.waiting.is_empty() && turns.round.is_empty());
    }

    #[test]
    fn threads_of_the_lane_have_a_low_priority() {
        let lane = Lane::new();
        assert!(lane.start());
        let (tell, told) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let work = async move {
            let nice = rustix::process::getpriority_process(None);
            tell.send((here(), nice.unwrap())).unwrap();
        };
        let job = Job::start(
            Box::pin(work),
            "a".into(),
            lane.shared.clone(),
            runtime.handle().clone(),
        );
        let least = rustix::process::getpriority_process(None).unwrap();
        assert_eq!(told.recv().unwrap(), (true, least.max(NICE)));
        assert!(!here());
        drop(job);
    }
}
