//! The command `webtask`, in processes of its own.
#![expect(clippy::indexing_slicing, reason = "a test may fail there")]

mod audit;
mod authors;
mod bombs;
mod cache;
mod command;
mod common;
mod compile;
mod examples;
mod faults;
mod invoke;
mod logging;
mod logs;
mod outbound;
mod serve;
mod settings;
mod signals;
mod streaming;
mod token;
