//! The configuration of an operator: an error with a place, or a configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = webtask_host::ConfigFile::parse(text);
});
