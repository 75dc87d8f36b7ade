//! `traceparent` and `tracestate`: whatever a caller and a guest say, what goes on is valid and bounded.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| webtask_host::fuzz::trace(bytes));
