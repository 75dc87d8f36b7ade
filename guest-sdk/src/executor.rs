//! What a webtask does at the same time: one root future and what it spawned, on one thread.
//!
//! Must not know how a generation of WASI waits: its module polls what is here, with the waker of the root.
use crate::{host, timeouts};
use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Spawned = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static TASKS: RefCell<Vec<Spawned>> = const { RefCell::new(Vec::new()) };
}

/// Polls everything that was spawned.
pub(crate) fn poll_spawned(cx: &mut Context<'_>) {
    let mut tasks = TASKS.take();
    tasks.retain_mut(|task| task.as_mut().poll(cx).is_pending());
    // What these spawned has not been polled yet.
    let new = TASKS.take();
    if !new.is_empty() {
        cx.waker().wake_by_ref();
        tasks.extend(new);
    }
    TASKS.set(tasks);
}

/// Whether nothing was spawned that still runs. Only for the root to ask.
#[cfg(not(feature = "p3"))]
pub(crate) fn is_idle() -> bool {
    TASKS.with_borrow(Vec::is_empty)
}

/// Drops what is still running: the root is done.
pub(crate) fn drop_spawned() {
    drop(TASKS.take());
}

/// What [`spawn`] returns: a future of the spawned future's output. Dropping it lets the spawned future run on.
#[derive(Debug)]
pub struct Task<T>(Rc<RefCell<Joined<T>>>);

#[derive(Debug)]
struct Joined<T> {
    output: Option<T>,
    waker: Option<Waker>,
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut joined = self.0.borrow_mut();
        match joined.output.take() {
            Some(output) => Poll::Ready(output),
            None => {
                joined.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Runs `future` beside the caller, on the same thread: whenever one of them waits, the other may go on.
///
/// The invocation ends when the response is complete. What is still running then is dropped, so
/// await the returned [`Task`] if its work must be done.
///
/// ```no_run
/// # async fn both() -> Result<(), webtask::Error> {
/// let a = webtask::spawn(webtask::get("https://a.example.com/"));
/// let b = webtask::spawn(webtask::get("https://b.example.com/"));
/// let (a, b) = (a.await?, b.await?);
/// # Ok(()) }
/// ```
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    let joined = Rc::new(RefCell::new(Joined {
        output: None,
        waker: None,
    }));
    let task = Task(Rc::clone(&joined));
    let run = async move {
        let output = future.await;
        let mut joined = joined.borrow_mut();
        joined.output = Some(output);
        if let Some(waker) = joined.waker.take() {
            waker.wake();
        }
    };
    // What a test spawns goes on seeing the world that it was spawned in.
    #[cfg(not(target_family = "wasm"))]
    let run = crate::testing::stay(run);
    TASKS.with_borrow_mut(|tasks| tasks.push(Box::pin(run)));
    task
}

/// Waits for `duration`, at most some 584 years. The host's deadline counts on meanwhile.
pub async fn sleep(duration: Duration) {
    host::sleep(timeouts::nanoseconds(duration)).await;
}

/// Awaits `future` for `duration` at most. `None` if the time ran out; the future is dropped then.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    within(future, sleep(duration)).await
}

/// Awaits `future` until the clock of [`host::now`] shows `until`. `None` as for [`timeout`].
pub(crate) async fn timeout_at<T>(until: u64, future: impl Future<Output = T>) -> Option<T> {
    let left = until.saturating_sub(host::now());
    within(future, host::sleep(left)).await
}

async fn within<T>(future: impl Future<Output = T>, time: impl Future<Output = ()>) -> Option<T> {
    let mut future = pin!(future);
    let mut time = pin!(time);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => time.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    #[test]
    fn spawned_futures_run_beside_the_root_and_wake_it() {
        let sum = block_on(async {
            let inner = spawn(async { spawn(async { 40 }).await + 1 });
            inner.await + 1
        });
        assert_eq!(sum, 42);
    }

    #[test]
    fn time_runs_out_only_for_what_is_slower() {
        let second = Duration::from_secs(1);
        block_on(async {
            assert_eq!(timeout(second, async { 1 }).await, Some(1));
            assert_eq!(timeout(second, sleep(second / 2)).await, Some(()));
            assert_eq!(timeout(second, sleep(second * 2)).await, None);
        });
    }

    #[test]
    fn what_is_left_is_dropped_with_the_root() {
        let alive = Rc::new(());
        let held = Rc::clone(&alive);
        block_on(async {
            spawn(async move {
                std::future::pending::<()>().await;
                drop(held);
            });
        });
        assert_eq!(Rc::strong_count(&alive), 1);
    }
}
