//! The attribute `#[webtask::main]`.
