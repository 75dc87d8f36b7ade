//! Spins.
fn main() {}
