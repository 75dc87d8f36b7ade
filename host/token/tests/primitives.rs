//! The primitives against Wycheproof's vectors: what the crate is built of, in the versions that it uses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use wycheproof::TestResult;

#[test]
fn xchacha20_poly1305() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::XChaCha20Poly1305);
    let mut run = 0;
    for group in set.unwrap().test_groups {
        // The nonce of a token is made inside and has one length.
        for test in group.tests.iter().filter(|test| test.nonce.len() == 24) {
            let cipher = XChaCha20Poly1305::new_from_slice(&test.key).unwrap();
            let nonce = XNonce::try_from(test.nonce.as_slice()).unwrap();
            let mut buffer = [test.ct.as_slice(), &test.tag].concat();
            let opened = cipher.decrypt_in_place(&nonce, &test.aad, &mut buffer);
            let valid = test.result != TestResult::Invalid;
            assert_eq!(opened.is_ok(), valid, "{} {}", test.tc_id, test.comment);
            if valid {
                assert_eq!(buffer, test.pt.as_slice(), "{}", test.tc_id);
                cipher
                    .encrypt_in_place(&nonce, &test.aad, &mut buffer)
                    .unwrap();
                assert_eq!(buffer, [test.ct.as_slice(), &test.tag].concat());
            }
            run += 1;
        }
    }
    println!("{run} vectors");
    assert!(run > 250);
}

#[test]
fn hmac_sha256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256);
    let mut run = 0;
    for group in set.unwrap().test_groups {
        // A tail is the whole tag; shorter ones have groups of their own.
        for test in group.tests.iter().filter(|_| group.tag_size == 256) {
            let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&test.key).unwrap();
            let valid = mac.chain_update(&*test.msg).verify_slice(&test.tag).is_ok();
            assert_eq!(valid, test.result != TestResult::Invalid, "{}", test.tc_id);
            run += 1;
        }
    }
    println!("{run} vectors");
    assert!(run > 50);
}

#[test]
fn hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256);
    let mut run = 0;
    for group in set.unwrap().test_groups {
        for test in &group.tests {
            let mut okm = vec![0; test.size];
            let hkdf = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm);
            let expanded = hkdf.expand(&test.info, &mut okm).is_ok();
            assert_eq!(
                expanded,
                test.result != TestResult::Invalid,
                "{}",
                test.tc_id
            );
            assert!(!expanded || okm == test.okm.as_slice(), "{}", test.tc_id);
            run += 1;
        }
    }
    println!("{run} vectors");
    assert!(run > 50);
}
