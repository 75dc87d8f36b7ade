//! What the audit and the loader read of a component before it is compiled.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| webtask_host::fuzz::component(bytes));
