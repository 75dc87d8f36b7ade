//! The body of `POST /v1/tokens`: whatever is asked, what is minted opens and lies below the ceiling.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use webtask_token::{Ceiling, Claims, Keyring, MintRequest, Opened, RevokeRequest};

const NOW: u64 = 1_800_000_000;

static ISSUER: LazyLock<(Keyring, Opened)> = LazyLock::new(|| {
    let keyring = Keyring::generate(None);
    let mut ceiling = Ceiling::new(vec!["https://a.example/*".to_owned()], 86_400);
    ceiling.out = vec!["GET https://b.example/*".parse().expect("a grant")];
    (ceiling.params, ceiling.secrets) = (vec!["*".to_owned()], vec!["*".to_owned()]);
    let claims = Claims::issuer(ceiling, NOW);
    let token = keyring.seal(&claims).expect("valid claims");
    let opened = keyring.open(&token, NOW).expect("its own");
    (keyring, opened)
});

fuzz_target!(|bytes: &[u8]| {
    let (keyring, issuer) = &*ISSUER;
    let _ = serde_json::from_slice::<RevokeRequest>(bytes);
    let Ok(asked) = serde_json::from_slice::<MintRequest>(bytes) else {
        return;
    };
    if let Ok(minted) = issuer.mint(asked, keyring, NOW) {
        let opened = keyring.open(&minted.token, NOW).expect("what is minted opens");
        assert!(opened.claims.exp <= NOW + 86_400 && opened.claims.url.starts_with("https://a.example/"));
    }
});
