//! WASI 0.3: `wasi:http/handler` and `client`, with the streams and futures of the component model.
//!
//! Has the same names for the rest of the SDK as `p2`.
pub mod bindings;
mod client;
mod incoming;
mod outgoing;
mod serve;

pub use bindings::exports::wasi::http::handler::Guest;
pub(crate) use bindings::wasi::clocks::monotonic_clock::now;
pub(crate) use client::{options, send};
pub(crate) use incoming::Inbound;
pub use serve::serve;

use crate::executor;
use bindings::wasi::clocks::monotonic_clock;
use bindings::wasi::http::types::{ErrorCode, Fields};
use std::marker::PhantomData;
use std::pin::pin;
use wit_bindgen::rt::async_support::{FutureReader, StreamReader};

/// How a body ends: with trailers, or with what broke it off.
type Trailers = FutureReader<Result<Option<Fields>, ErrorCode>>;

/// Where bodies go: a stream is handed over, so nowhere.
pub(crate) type Sink = ();

/// A body on its way inside of the host.
pub(crate) type Passing<'a> = (StreamReader<u8>, Trailers, PhantomData<&'a ()>);

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
