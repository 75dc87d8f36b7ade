//! The waiting: nothing else in the SDK calls `wasi:io/poll`. Knows nothing of HTTP.
use super::bindings::wasi::{
    clocks::monotonic_clock,
    io::poll::{Pollable, poll},
};
use crate::executor;
use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

thread_local! {
    static WAITS: RefCell<Vec<Rc<Entry>>> = const { RefCell::new(Vec::new()) };
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
            executor::drop_spawned();
            return output;
        }
        executor::poll_spawned(&mut cx);
        for waker in fire(woken.0.load(Relaxed)) {
            waker.wake();
        }
    }
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

/// Waits for so many nanoseconds.
pub(crate) async fn sleep(nanoseconds: u64) {
    wait(monotonic_clock::subscribe_duration(nanoseconds)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "waits for nothing")]
    fn a_root_that_nothing_can_wake_is_an_error_and_not_a_hang() {
        block_on(std::future::pending::<()>());
    }
}
