//! A keyring file is read or refused; what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use webtask_token::Keyring;

fuzz_target!(|text: &str| {
    if let Ok(mut keyring) = Keyring::from_toml(text) {
        let again = Keyring::from_toml(&keyring.to_toml()).expect("what is written is read");
        assert_eq!(*again.to_toml(), *keyring.to_toml());
        let kid = keyring.sealing_kid().clone();
        assert!(keyring.retire(&kid).is_err());
        keyring.rotate(None, 0).expect("a random name is free");
        keyring.retire(&kid).expect("it seals no more");
    }
});
