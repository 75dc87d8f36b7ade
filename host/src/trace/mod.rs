//! Traces: which one a request belongs to (W3C Trace Context), and the spans that go to a collector.
//!
//! Nothing here knows a token, a secret or a URL: what is not given cannot be exported.

mod collector;
mod context;
mod export;
mod spans;

pub(crate) use context::TraceContext;
pub(crate) use export::Exporter;
pub use export::{TraceError, Traces};
pub(crate) use spans::{CallSpan, Served};
