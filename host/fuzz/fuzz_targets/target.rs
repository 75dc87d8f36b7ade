//! Where an outbound call goes: one form of each URL, or none.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| webtask_host::fuzz::target(text));
