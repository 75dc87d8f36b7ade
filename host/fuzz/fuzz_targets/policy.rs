//! The policy of a platform, WIT: whatever it says, it is understood or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(policy) = webtask_host::audit::Policy::parse("policy.wit", text) {
        let _ = (policy.name(), policy.summary());
    }
});
