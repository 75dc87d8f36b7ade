//! WASI 0.3: `wasi:http/handler` and `client`, with the streams and futures of the component model.
//!
//! Has the same names for the rest of the SDK as `p2`.
pub mod bindings;
mod client;
mod incoming;
mod outgoing;
mod serve;

pub use bindings::exports::wasi::http::handler::Guest;
pub(crate) use client::send;
pub(crate) use incoming::Incoming;
pub use serve::serve;

use crate::executor;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{ErrorCode, Fields};
use std::pin::pin;
use wit_bindgen::rt::async_support::FutureReader;

/// How a body ends: with trailers, or with what broke it off.
type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

/// Waits for so many nanoseconds.
pub(crate) async fn sleep(nanoseconds: u64) {
    monotonic_clock::wait_for(nanoseconds).await;
}

/// Runs `root` and beside it whatever was spawned.
async fn beside<T>(root: impl Future<Output = T>) -> T {
    let mut root = pin!(root);
    std::future::poll_fn(|cx| {
        let polled = root.as_mut().poll(cx);
        if polled.is_pending() {
            executor::poll_spawned(cx);
        }
        polled
    })
    .await
}

/// Why a body broke off while it was read: 0.3 says so at once, and nothing is left to ask.
pub(crate) enum Late {}

impl Late {
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match *self {}
    }

    pub(crate) fn text(&self) -> String {
        match *self {}
    }
}

/// Runs `root`, and whatever it spawns, as no component does: for tests, where nothing waits for a host.
#[cfg(test)]
pub(crate) fn block_on<T>(root: impl Future<Output = T>) -> T {
    let mut root = pin!(beside(root));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..1_000 {
        if let std::task::Poll::Ready(output) = root.as_mut().poll(&mut cx) {
            executor::drop_spawned();
            return output;
        }
    }
    unreachable!("waits for nothing that could ever happen")
}
