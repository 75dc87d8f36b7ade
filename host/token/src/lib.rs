//! The webtask token format.
