//! The runtime as its users meet it: real sockets, real components, real processes.

mod egress;
mod examples;
mod guests;
mod limits;
mod load;
mod modules;
mod secrets;
mod streaming;
mod tokens;
