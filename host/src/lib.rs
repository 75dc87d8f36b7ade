//! The webtask runtime.
