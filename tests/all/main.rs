//! The runtime as its users meet it: real sockets, real components, real processes.

mod audit;
mod bound;
mod caveats;
mod egress;
mod examples;
mod exchange;
mod guests;
mod issuer;
mod javascript;
mod limits;
mod load;
mod modules;
mod outbound;
mod policy;
mod secrets;
mod streaming;
mod tokens;
