//! The command `webtask`, in processes of its own.
#![expect(clippy::indexing_slicing, reason = "a test may fail there")]

mod audit;
mod command;
mod common;
mod examples;
mod outbound;
mod serve;
mod token;
