//! A caveat that is read has one encoding: attenuating with it writes the same bytes.
#![no_main]

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use webtask_token::{Caveat, Claims, Keyring, attenuate, inspect};

static TOKEN: LazyLock<String> = LazyLock::new(|| {
    Keyring::generate(None)
        .seal(&Claims::new("https://h/", 0))
        .expect("it is valid")
});

fuzz_target!(|bytes: &[u8]| {
    let text = BASE64URL_NOPAD.encode(bytes);
    if let Ok(caveat) = Caveat::decode(&text)
        && let Ok(token) = attenuate(&TOKEN, &caveat)
    {
        assert_eq!(inspect(&token).expect("it is well-formed").caveats, [text]);
    }
});
