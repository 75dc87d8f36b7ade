//! The runtime as its users meet it: real sockets, real components, real processes.

#![expect(
    clippy::duplicate_mod,
    reason = "the same tests for both generations of WASI"
)]

mod audit;
mod callers;
mod caveats;
mod issuer;
mod javascript;
mod load;
mod modules;
mod p2;
mod p3;
mod policy;
mod sources;
mod tokens;
