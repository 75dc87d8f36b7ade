//! What is promised of every webtask, with components of WASI 0.2.

mod built {
    /// Whether they are of WASI 0.3: where the two interfaces themselves say it differently.
    pub(super) const P3: bool = false;
    pub(super) use webtask_tests::p2::{examples, guests};
}

#[path = "bound/mod.rs"]
mod bound;
#[path = "calls.rs"]
mod calls;
#[path = "egress.rs"]
mod egress;
#[path = "examples.rs"]
mod examples;
#[path = "exchange.rs"]
mod exchange;
#[path = "greed.rs"]
mod greed;
#[path = "guests.rs"]
mod guests;
#[path = "http2.rs"]
mod http2;
#[path = "limits.rs"]
mod limits;
#[path = "logging.rs"]
mod logging;
#[path = "outbound.rs"]
mod outbound;
#[path = "pool.rs"]
mod pool;
#[path = "reasons.rs"]
mod reasons;
#[path = "secrets.rs"]
mod secrets;
#[path = "silence.rs"]
mod silence;
#[path = "streaming.rs"]
mod streaming;
