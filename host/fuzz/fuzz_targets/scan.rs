//! The search for bound secrets: pieces of any size are searched as the whole is, and no value passes.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use webtask_host::scan::{Scan, Search};
use webtask_token::{Secret, SecretClaim};

const VALUE: &str = "s3cret-v";

static SEARCH: LazyLock<Arc<Search>> = LazyLock::new(|| {
    let slot = "POST https://a.example/ authorization: Bearer {}".parse();
    let claim = SecretClaim {
        value: Secret::new(VALUE.to_owned()),
        slots: vec![slot.expect("a slot")],
    };
    Arc::new(Search::new(&[("key".to_owned(), claim)].into()).expect("one secret"))
});

/// What passes, or nothing where the secret was found.
fn passes(pieces: impl Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let mut scan = Scan::new(SEARCH.clone());
    let mut passed = Vec::new();
    for piece in pieces {
        passed.extend(scan.push(piece.into()).ok()?);
    }
    passed.extend(scan.end());
    Some(passed)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, bytes) = input;
    let whole = passes(std::iter::once(bytes.to_vec()));
    let pieces = passes(bytes.chunks(usize::from(size).max(1)).map(<[u8]>::to_vec));
    assert_eq!(whole, pieces);
    if let Some(passed) = whole {
        assert_eq!(passed, bytes);
        assert!(!passed.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
    }
});
