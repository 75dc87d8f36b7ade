//! A run that goes to the lane when it has shown to be heavy.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{Lane, job::Awaited};
use crate::cpu::CpuBound;

/// CPU time that every run may use where it began. It is not filled up again in the course of a run: many that
/// spin together wait most of the time, and by any share of that time each of them would look light.
const BEGIN: Duration = Duration::from_millis(2);

/// A run bounded in CPU time, polled by whoever awaits it until it has used too much for that.
pub(crate) struct Weighed<F: Future> {
    at: At<F>,
    /// Its tenant had its share of where runs begin.
    owes: bool,
    lane: Arc<Lane>,
    tenant: Arc<str>,
}

type Ended<F> = <CpuBound<F> as Future>::Output;

enum At<F: Future> {
    Begun(CpuBound<F>),
    Lane(Awaited<Ended<F>>),
    /// Between the two, within one poll.
    Moving,
}

impl<F> Weighed<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    pub(crate) fn new(run: CpuBound<F>, lane: Arc<Lane>, tenant: Arc<str>) -> Self {
        Self {
            at: At::Begun(run),
            owes: lane.debts.owes(&tenant, Instant::now) && lane.start(),
            lane,
            tenant,
        }
    }
}

impl<F> Future for Weighed<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = Ended<F>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let heavy = match &mut this.at {
            At::Begun(_) if this.owes => true,
            At::Begun(run) => match Pin::new(&mut *run).poll(cx) {
                Poll::Ready(ended) => return Poll::Ready(ended),
                Poll::Pending => run.used() > BEGIN,
            },
            At::Lane(awaited) => return awaited.poll(cx),
            At::Moving => return Poll::Pending,
        };
        if !heavy || !this.lane.start() {
            return Poll::Pending;
        }
        if let At::Begun(run) = std::mem::replace(&mut this.at, At::Moving) {
            if !this.owes {
                let (felt, now) = (run.felt(), Instant::now());
                this.lane.debts.add(&this.tenant, felt, now);
            }
            // Its first turn there takes the lane's waker: what the last poll left behind wakes nobody.
            let mut awaited =
                Awaited::start(Box::pin(run), this.tenant.clone(), this.lane.shared.clone());
            let polled = awaited.poll(cx);
            this.at = At::Lane(awaited);
            return polled;
        }
        Poll::Pending
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread::ThreadId,
    };

    use super::*;
    use crate::{lane, meter::Spent};

    const LONG: Duration = Duration::from_secs(3_600);

    fn weighed<F>(lane: &Arc<Lane>, limit: Duration, run: F) -> (Weighed<F>, Arc<Spent>)
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let spent = Arc::new(Spent::default());
        let run = CpuBound::new(run, limit, spent.clone());
        (Weighed::new(run, lane.clone(), "a".into()), spent)
    }

    /// Any number of runs that begin in step take no more of a thread of requests than one tenant may.
    #[tokio::test]
    async fn whoever_had_many_heavy_runs_begins_on_the_lane() {
        let lane = Arc::new(Lane::new());
        let light = || async { lane::here() };
        for _ in 0..8 {
            let (run, _) = weighed(&lane, LONG, work(Duration::from_millis(4)));
            run.await.unwrap();
        }
        assert_eq!(weighed(&lane, LONG, light()).0.await, Ok(true));
        let run = CpuBound::new(light(), LONG, Arc::default());
        let other = Weighed::new(run, lane.clone(), "b".into());
        assert_eq!(
            other.await,
            Ok(false),
            "another tenant's begins where it was"
        );
    }

    /// Uses the processor for about `time`, and yields after each millisecond.
    async fn work(time: Duration) {
        let mut rounds = time.as_millis();
        while rounds > 0 {
            let until = std::time::Instant::now() + Duration::from_millis(1);
            while std::time::Instant::now() < until {
                std::hint::spin_loop();
            }
            rounds -= 1;
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_light_run_stays_and_a_heavy_one_moves() {
        let lane = Arc::new(Lane::new());
        let here = std::thread::current().id();
        let light = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            (lane::here(), std::thread::current().id())
        };
        assert_eq!(weighed(&lane, LONG, light).0.await, Ok((false, here)));

        let heavy = async {
            work(Duration::from_millis(200)).await;
            // Timers of the runtime wake it there.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let spawned = tokio::spawn(async { std::thread::current().id() });
            (lane::here(), spawned.await.unwrap())
        };
        let (heavy, spent) = weighed(&lane, LONG, heavy);
        let (on_lane, spawned): (bool, ThreadId) = heavy.await.unwrap();
        assert!(on_lane && spawned == here, "spawned tasks stay behind");
        assert!(spent.cpu_us() > 2_000, "{spent:?}");
    }

    #[tokio::test]
    async fn cpu_time_is_bounded_on_the_lane() {
        let lane = Arc::new(Lane::new());
        let limit = Duration::from_millis(50);
        let (run, spent) = weighed(&lane, limit, work(LONG));
        assert_eq!(run.await, Err(limit));
        assert!(spent.cpu_us() >= 50_000, "{spent:?}");
    }

    /// Those that have much to do, and little at a time, go to the lane each in its time.
    #[tokio::test]
    async fn runs_of_short_turns_leave_a_small_debt() {
        let lane = Arc::new(Lane::new());
        let stream = || async {
            let began = lane::here();
            while !lane::here() {
                let until = Instant::now() + Duration::from_micros(20);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
            began
        };
        for _ in 0..4 {
            let (run, spent) = weighed(&lane, LONG, stream());
            assert_eq!(run.await, Ok(false), "{spent:?}");
        }
    }

    /// Says when it is dropped.
    struct Ends(Arc<AtomicBool>);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_run_that_nobody_awaits_ends() {
        let lane = Arc::new(Lane::new());
        for waits in [false, true] {
            let (ended, moved) = (
                Arc::new(AtomicBool::new(false)),
                Arc::new(AtomicBool::new(false)),
            );
            let (ends, there) = (Ends(ended.clone()), moved.clone());
            let run = async move {
                let _ends = ends;
                work(Duration::from_millis(100)).await;
                there.store(lane::here(), Ordering::SeqCst);
                match waits {
                    true => std::future::pending().await,
                    false => work(LONG).await,
                }
            };
            let (run, _) = weighed(&lane, LONG, run);
            let run = tokio::spawn(run);
            while !moved.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            run.abort();
            let until = std::time::Instant::now() + Duration::from_secs(20);
            while !ended.load(Ordering::SeqCst) {
                assert!(
                    std::time::Instant::now() < until,
                    "it goes on, waits={waits}"
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test]
    async fn a_panic_on_the_lane_goes_to_whoever_waits() {
        let lane = Arc::new(Lane::new());
        let run = async {
            work(Duration::from_millis(50)).await;
            assert!(!lane::here(), "on the lane");
        };
        let (run, _) = weighed(&lane, LONG, run);
        assert!(tokio::spawn(run).await.unwrap_err().is_panic());
        // And the lane goes on.
        let (run, _) = weighed(&lane, LONG, work(Duration::from_millis(20)));
        assert_eq!(run.await, Ok(()));
    }
}
