//! The command `webtask`, in processes of its own.
#![expect(clippy::indexing_slicing, reason = "a test may fail there")]

mod audit;
mod bombs;
mod cache;
mod command;
mod common;
mod compile;
mod outbound;
mod serve;
mod token;
