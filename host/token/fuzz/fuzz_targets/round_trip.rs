//! What is sealed is opened, and with any byte changed it is not.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use webtask_token::{Claims, Keyring, Secret, SecretClaim};

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| Keyring::generate(None));

fuzz_target!(|input: (u64, String, String, String, String, usize, u8)| {
    let (life, path, name, value, more, place, bit) = input;
    let mut claims = Claims::new(format!("https://h/{path}"), 0);
    claims.exp = 1 + life % (1 << 32);
    let slot = format!("GET https://h/{path} x-a: {{}}{more}")
        .parse()
        .into_iter()
        .collect();
    claims
        .out
        .extend(format!("GET,POST https://h/{more}").parse());
    claims.params.insert(name.clone(), value.clone());
    claims.secrets.insert(
        name,
        SecretClaim {
            value: Secret::new(value),
            slots: slot,
        },
    );
    let Ok(token) = KEYRING.seal(&claims) else {
        return;
    };
    let opened = KEYRING
        .open(&token, 0)
        .expect("what is sealed is opened")
        .claims;
    assert_eq!(
        format!("{opened:?}{:?}{}", opened.params, opened.url),
        format!("{claims:?}{:?}{}", claims.params, claims.url)
    );
    let mut bytes = token.into_bytes();
    let place = place % bytes.len();
    bytes[place] ^= 1 << (bit % 7);
    let forged = String::from_utf8(bytes).expect("it is ASCII");
    assert!(
        KEYRING
            .open(&forged, 0)
            .is_err_and(|error| !error.authenticated())
    );
});
