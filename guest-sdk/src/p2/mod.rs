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
pub(crate) use client::send;
pub(crate) use incoming::Incoming;
#[cfg(test)]
pub(crate) use poll::block_on;
pub(crate) use poll::sleep;
pub use serve::serve;

use bindings::wasi::http::types::{ErrorCode, http_error_code};
use bindings::wasi::io::error as io;

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
