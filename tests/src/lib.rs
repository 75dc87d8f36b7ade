//! A real host on a real socket, origins to call, and what the host logged.

mod client;
pub mod core;
mod dns;
pub mod frames;
mod host;
mod live;
mod logs;
mod meets;
mod origin;
mod raw;
mod registry;
mod slow;
mod tls;

pub use client::{Http2, Reply, exchange, get, get_path, get_through};
pub use dns::Dns;
pub use host::{Builder, TestHost, claims_for, now, policy_with};
pub use live::{Event, Live};
pub use logs::{lines_of, wait_for_line};
pub use meets::names;
pub use origin::{Origin, Seen};
pub use raw::{Raw, Then};
pub use registry::{Guard, LOGIN, Registry};
pub use slow::Slow;
pub use tls::Authority;

/// Sooner than anything here ends by itself, and long enough for a machine that is busy with other things.
pub const SOON: std::time::Duration = std::time::Duration::from_secs(30);

include!(concat!(env!("OUT_DIR"), "/components.rs"));
