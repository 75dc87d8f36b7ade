//! CPU time of one invocation: the thread's clock, read around each poll.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// A future that may use at most `limit` of CPU time. It is checked after each poll, so a guest that
/// yields at every tick overruns by a tick at most.
pub(crate) struct CpuBound<F> {
    inner: Pin<Box<F>>,
    limit: Duration,
    used: Duration,
}

impl<F> CpuBound<F> {
    pub(crate) fn new(inner: F, limit: Duration) -> Self {
        Self {
            inner: Box::pin(inner),
            limit,
            used: Duration::ZERO,
        }
    }
}

impl<F: Future> Future for CpuBound<F> {
    /// What the future returned and the CPU time it used, or the limit that it passed.
    type Output = Result<(F::Output, Duration), Duration>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_time();
        let polled = self.inner.as_mut().poll(cx);
        self.used += thread_time().saturating_sub(before);
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok((output, self.used))),
            Poll::Pending if self.used > self.limit => Poll::Ready(Err(self.limit)),
            Poll::Pending => Poll::Pending,
        }
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
        let waits = CpuBound::new(tokio::time::sleep(Duration::from_millis(100)), limit);
        let ((), used) = waits.await.unwrap();
        assert!(used < limit, "{used:?}");

        let works = CpuBound::new(
            async {
                loop {
                    std::hint::black_box((0..10_000).sum::<u64>());
                    tokio::task::yield_now().await;
                }
            },
            limit,
        );
        let ended: Result<((), Duration), Duration> = works.await;
        assert_eq!(ended.unwrap_err(), limit);
    }
}
