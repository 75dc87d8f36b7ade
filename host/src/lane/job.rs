//! One run on the lane: when it is polled, and how it ends when nobody wants it any more.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex, TryLockError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use tokio::{runtime::Handle, sync::oneshot};

use super::Shared;

/// Waits to be woken.
const IDLE: u8 = 0;
/// Waits for its turn.
const QUEUED: u8 = 1;
/// Is polled by a thread of the lane.
const RUNNING: u8 = 2;
/// Was woken while it is polled.
const WOKEN: u8 = 3;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future between its waker, the lane's queue and whoever awaits it.
pub(super) struct Job {
    state: AtomicU8,
    /// Nobody wants its end.
    cancelled: AtomicBool,
    /// Held while it is polled; empty when it has ended.
    work: Mutex<Option<Work>>,
    tenant: Arc<str>,
    lane: Arc<Shared>,
    /// Its timers, sockets and tasks are there.
    runtime: Handle,
}

impl Job {
    /// Queues `work` for its first turn.
    pub(super) fn start(
        work: Work,
        tenant: Arc<str>,
        lane: Arc<Shared>,
        runtime: Handle,
    ) -> Arc<Self> {
        let job = Arc::new(Self {
            state: AtomicU8::new(QUEUED),
            cancelled: AtomicBool::new(false),
            work: Mutex::new(Some(work)),
            tenant,
            lane,
            runtime,
        });
        job.lane.push(job.clone());
        job
    }

    pub(super) fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// One turn, on a thread of the lane.
    pub(super) fn run(self: Arc<Self>) {
        self.state.store(RUNNING, Ordering::SeqCst);
        if let Ok(mut work) = self.work.try_lock() {
            self.poll(&mut work);
        }
        // Cancelled after `poll` looked, while the lock was held: nobody else ends it.
        self.drop_cancelled();
        let idle = self
            .state
            .compare_exchange(RUNNING, IDLE, Ordering::SeqCst, Ordering::SeqCst);
        if idle.is_err() {
            self.state.store(QUEUED, Ordering::SeqCst);
            self.lane.push(self.clone());
        }
    }

    fn poll(self: &Arc<Self>, slot: &mut Option<Work>) {
        let Some(work) = slot else {
            return;
        };
        let waker = Waker::from(self.clone());
        let _runtime = self.runtime.enter();
        // What panicked has no further poll; its dropped channel tells.
        let polled = catch_unwind(AssertUnwindSafe(|| {
            work.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        if !matches!(polled, Ok(Poll::Pending)) {
            *slot = None;
        }
    }

    fn drop_cancelled(&self) {
        if !self.cancelled.load(Ordering::SeqCst) {
            return;
        }
        let ended = match self.work.try_lock() {
            Ok(mut work) => work.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            // It is being polled: whoever polls looks at the mark after that.
            Err(TryLockError::WouldBlock) => None,
        };
        // Its drop may need timers.
        let _runtime = self.runtime.enter();
        drop(ended);
    }
}

impl Wake for Job {
    fn wake(self: Arc<Self>) {
        let next =
            self.state
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| match state {
                    IDLE => Some(QUEUED),
                    RUNNING => Some(WOKEN),
                    _ => None,
                });
        if next == Ok(IDLE) {
            let lane = self.lane.clone();
            lane.push(self);
        }
    }
}

/// Awaits a job's output; the job ends when this is dropped, at once or after the poll that is under way.
pub(super) struct Awaited<T> {
    job: Arc<Job>,
    output: oneshot::Receiver<Result<T, Box<dyn Any + Send>>>,
}

impl<T: Send + 'static> Awaited<T> {
    /// Starts `future` on the lane.
    pub(super) fn start(
        future: Pin<Box<dyn Future<Output = T> + Send>>,
        tenant: Arc<str>,
        lane: Arc<Shared>,
    ) -> Self {
        let (send, output) = oneshot::channel();
        let work = Box::pin(async move {
            let ended = Caught(future).await;
            // Nobody waits: it was cancelled meanwhile.
            let _ = send.send(ended);
        });
        Self {
            job: Job::start(work, tenant, lane, Handle::current()),
            output,
        }
    }

    /// A panic of the job goes on here.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        match std::task::ready!(Pin::new(&mut self.output).poll(cx)) {
            Ok(Ok(output)) => Poll::Ready(output),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => resume_unwind(Box::new("a run on the heavy lane was lost")),
        }
    }
}

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        self.job.cancelled.store(true, Ordering::SeqCst);
        self.job.drop_cancelled();
    }
}

/// A future whose panic is a value.
struct Caught<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Future for Caught<T> {
    type Output = Result<T, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
