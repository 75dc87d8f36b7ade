//! The way of a token into the host: whatever the request, no guest sees it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| webtask_host::fuzz::carrier(bytes));
