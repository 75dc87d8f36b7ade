//! One thread, one root future, what it spawned, and the pollables they wait for.
//!
//! Owns the waiting: nothing else in the SDK calls `wasi:io/poll`. It knows nothing of HTTP.
use crate::__bindings::wasi::{
    clocks::monotonic_clock,
    io::poll::{Pollable, poll},
};
use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

type Spawned = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static WAITS: RefCell<Vec<Rc<Entry>>> = const { RefCell::new(Vec::new()) };
    static TASKS: RefCell<Vec<Spawned>> = const { RefCell::new(Vec::new()) };
}

struct Entry {
    pollable: Pollable,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `root`, and whatever it spawns, until `root` is done. What is left of the spawned is dropped.
pub(crate) fn block_on<T>(root: impl Future<Output = T>) -> T {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut root = pin!(root);
    loop {
        woken.0.store(false, Relaxed);
        if let Poll::Ready(output) = root.as_mut().poll(&mut cx) {
            drop(TASKS.take());
            return output;
        }
        poll_spawned(&mut cx);
        for waker in fire(woken.0.load(Relaxed)) {
            waker.wake();
        }
    }
}

fn poll_spawned(cx: &mut Context<'_>) {
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

/// Marks the waits whose pollable is ready, and blocks until there is one unless `busy`.
fn fire(busy: bool) -> Vec<Waker> {
    WAITS.with_borrow(|waits| {
        let fired = |entry: &Rc<Entry>| {
            entry.fired.set(true);
            entry.waker.take()
        };
        if busy {
            let ready = waits.iter().filter(|entry| entry.pollable.ready());
            return ready.filter_map(fired).collect();
        }
        assert!(
            !waits.is_empty(),
            "the webtask waits for nothing that could ever happen"
        );
        let list: Vec<&Pollable> = waits.iter().map(|entry| &entry.pollable).collect();
        let ready = poll(&list);
        let ready = ready
            .into_iter()
            .filter_map(|index| waits.get(index as usize));
        ready.filter_map(fired).collect()
    })
}

/// Done when `pollable` is ready. The pollable is dropped with the future, so before its parent if that lives longer.
pub(crate) struct Wait(Rc<Entry>);

pub(crate) fn wait(pollable: Pollable) -> Wait {
    let entry = Rc::new(Entry {
        pollable,
        fired: Cell::new(false),
        waker: RefCell::new(None),
    });
    WAITS.with_borrow_mut(|waits| waits.push(Rc::clone(&entry)));
    Wait(entry)
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.fired.get() {
            return Poll::Ready(());
        }
        self.0.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        WAITS.with_borrow_mut(|waits| waits.retain(|entry| !Rc::ptr_eq(entry, &self.0)));
    }
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
    TASKS.with_borrow_mut(|tasks| tasks.push(Box::pin(run)));
    task
}

/// Waits for `duration`, at most some 584 years. The host's deadline counts on meanwhile.
pub async fn sleep(duration: Duration) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    wait(monotonic_clock::subscribe_duration(nanoseconds)).await;
}

/// Awaits `future` for `duration` at most. `None` if the time ran out; the future is dropped then.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut time = pin!(sleep(duration));
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => time.as_mut().poll(cx).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spawned_futures_run_beside_the_root_and_wake_it() {
        let sum = block_on(async {
            let inner = spawn(async { spawn(async { 40 }).await + 1 });
            inner.await + 1
        });
        assert_eq!(sum, 42);
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

    #[test]
    #[should_panic(expected = "waits for nothing")]
    fn a_root_that_nothing_can_wake_is_an_error_and_not_a_hang() {
        block_on(std::future::pending::<()>());
    }
}
