//! CPU time of one invocation: the thread's clock, as far as it has to be read around each poll.
//!
//! Reading that clock is a system call, and the clock on the wall is none. A poll that took no time on the wall took no
//! more of the processor, and is charged that. Of one that took longer the thread's clock is read after it, and before
//! it where it was not read a moment ago: what the thread did between is charged too, as far as the wall allows. So
//! nobody is charged too little, and nobody too much by more than [`FRESH`] for a poll in which the thread had to wait.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::meter::{Ending, Spent};

/// A poll that takes less on the wall is charged that.
const SHORT: Duration = Duration::from_micros(100);
/// One in so many parts of short polls is felt.
const FELT: u32 = 128;
/// How old a reading of the thread's clock may be.
const FRESH: Duration = Duration::from_micros(500);

thread_local! {
    /// The thread's clock, and when it was read.
    static READ: Cell<Option<Reading>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    cpu: Duration,
}

impl Reading {
    fn new(at: Instant) -> Self {
        let reading = Self {
            at,
            cpu: thread_time(),
        };
        READ.set(Some(reading));
        reading
    }

    /// One that is not old at `now`.
    fn fresh(now: Instant) -> Self {
        let fresh = |read: &Self| now.saturating_duration_since(read.at) <= FRESH;
        READ.get().filter(fresh).unwrap_or_else(|| Self::new(now))
    }
}

/// A future that may use at most `limit` of CPU time. It is checked after each poll, so a guest that
/// yields at every tick overruns by a tick at most, and by another one in which it ends.
pub(crate) struct CpuBound<F> {
    inner: Pin<Box<F>>,
    limit: Duration,
    used: Duration,
    /// Of that, in polls that were not short.
    held: Duration,
    spent: Arc<Spent>,
}

impl<F> CpuBound<F> {
    pub(crate) fn new(inner: F, limit: Duration, spent: Arc<Spent>) -> Self {
        Self {
            inner: Box::pin(inner),
            limit,
            used: Duration::ZERO,
            held: Duration::ZERO,
            spent,
        }
    }

    /// CPU time so far.
    pub(crate) fn used(&self) -> Duration {
        self.used
    }

    /// CPU time as others felt it: all of the polls that were not short, and a little of the rest. Those take turns with
    /// theirs, and there can be many of them.
    pub(crate) fn felt(&self) -> Duration {
        let short = self.used.saturating_sub(self.held);
        self.held
            .saturating_add(short.checked_div(FELT).unwrap_or_default())
    }
}

impl<F: Future> Future for CpuBound<F> {
    /// What the future returned, or the limit that it passed.
    type Output = Result<F::Output, Duration>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut polled = self.measured(cx);
        if polled.is_pending() && self.used > self.limit {
            // A guest that computes gets to its next tick, and fails there with where it was. One that waits in the
            // host is at no tick, and ends here.
            self.spent.end(Ending::Cpu);
            polled = self.measured(cx);
        }
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.used > self.limit => Poll::Ready(Err(self.limit)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F: Future> CpuBound<F> {
    fn measured(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        let begun = Instant::now();
        let before = Reading::fresh(begun);
        let polled = self.inner.as_mut().poll(cx);
        let ended = Instant::now();
        let mut spent = ended.saturating_duration_since(begun);
        if spent > SHORT {
            spent = spent.min(Reading::new(ended).cpu.saturating_sub(before.cpu));
            self.held = self.held.saturating_add(spent);
        }
        self.used = self.used.saturating_add(spent);
        self.spent.set_cpu(self.used);
        polled
    }
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_counts_and_waiting_does_not() {
        let limit = Duration::from_millis(50);
        let spent = Arc::new(Spent::default());
        let sleep = tokio::time::sleep(Duration::from_millis(100));
        CpuBound::new(sleep, limit, spent.clone()).await.unwrap();
        assert!(spent.cpu_us() < 50_000, "{spent:?}");

        let busy = async {
            loop {
                std::hint::black_box((0..10_000).sum::<u64>());
                tokio::task::yield_now().await;
            }
        };
        let ended: Result<(), Duration> = CpuBound::new(busy, limit, spent.clone()).await;
        assert_eq!(ended.unwrap_err(), limit);
        assert!(spent.cpu_us() >= 50_000, "{spent:?}");
    }

    #[test]
    fn what_took_long_is_felt_and_what_did_not_hardly() {
        let ms = Duration::from_millis;
        let mut bound = CpuBound::new(std::future::ready(()), ms(1_000), Arc::default());
        (bound.used, bound.held) = (ms(128), ms(0));
        assert_eq!(bound.felt(), ms(1));
        bound.held = ms(128);
        assert_eq!(bound.felt(), ms(128));
    }
}
