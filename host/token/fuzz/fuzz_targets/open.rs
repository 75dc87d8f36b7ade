//! Nobody without the key makes a token: any text is refused, with a cause that is not told.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use webtask_token::{Keyring, inspect};

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| Keyring::generate("k1".parse().ok()));

fuzz_target!(|text: &str| {
    let _ = inspect(text);
    for token in [text, &format!("wt1.k1.{text}")] {
        assert!(
            KEYRING
                .open(token, 0)
                .is_err_and(|error| !error.authenticated())
        );
    }
});
