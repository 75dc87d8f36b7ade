//! The runtime as its users meet it: real sockets, real components, real processes.

#![expect(
    clippy::duplicate_mod,
    reason = "the same tests for both generations of WASI"
)]

mod audit;
mod callers;
mod caveats;
mod clients;
mod core;
mod faults;
mod issuer;
mod javascript;
mod load;
mod loading;
mod logs;
mod metrics;
mod mistakes;
mod modules;
mod names;
mod neighbours;
mod otlp;
mod p2;
mod p3;
mod policy;
mod server;
mod shares;
mod sources;
mod tenants;
mod tokens;
