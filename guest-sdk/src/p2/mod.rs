//! WASI 0.2: `wasi:http/incoming-handler` and `outgoing-handler`, with streams and pollables of `wasi:io`.
//!
//! Has the same names for the rest of the SDK as `p3`.
pub mod bindings;
mod client;
mod incoming;
mod outgoing;
mod poll;
mod serve;

pub use bindings::exports::wasi::http::incoming_handler::Guest;
pub(crate) use bindings::wasi::clocks::monotonic_clock::now;
pub(crate) use client::{options, send};
pub(crate) use incoming::Inbound;
pub(crate) use poll::sleep;
pub use serve::serve;

use bindings::wasi::http::types::{ErrorCode, http_error_code};
use bindings::wasi::io::error as io;

/// Where bodies go.
pub(crate) use bindings::wasi::io::streams::OutputStream as Sink;

/// A body on its way inside of the host.
pub(crate) type Passing<'a> = crate::body::Pending<'a, Result<(), outgoing::Failed>>;

/// Why a body broke off while it was read. The host tells the code if asked.
pub(crate) struct Late(io::Error);

impl Late {
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        http_error_code(&self.0)
    }

    pub(crate) fn text(&self) -> String {
        self.0.to_debug_string()
    }
}
