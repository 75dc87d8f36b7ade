//! A token writer that obeys: it writes wrong tokens as readily as right ones.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// The root key of every vector: 0, 1, 2 … 31.
pub(crate) fn root() -> [u8; 32] {
    std::array::from_fn(|i| u8::try_from(i).unwrap())
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

fn derive(info: &str) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, &root())
        .expand(info.as_bytes(), &mut key)
        .unwrap();
    key
}

/// nonce ‖ ciphertext ‖ tag. The nonce is constant: vectors must not change from run to run.
pub(crate) fn sealed(head: &str, claims: &[u8]) -> Vec<u8> {
    let nonce = XNonce::from([0x24; 24]);
    let mut buffer = claims.to_vec();
    let cipher = XChaCha20Poly1305::new_from_slice(&derive("webtask/v1/seal")).unwrap();
    cipher
        .encrypt_in_place(&nonce, head.as_bytes(), &mut buffer)
        .unwrap();
    [nonce.as_slice(), &buffer].concat()
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap();
    mac.chain_update(text).finalize().into_bytes().into()
}

/// The tails of all links, for `wt1.<kid>.<sealed>` and caveats as they stand in the token.
pub(crate) fn tails(link: &str, caveats: &[&str]) -> Vec<[u8; 32]> {
    let mut tails = vec![hmac(&derive("webtask/v1/chain"), link)];
    for caveat in caveats {
        tails.push(hmac(tails.last().unwrap(), caveat));
    }
    tails
}

/// Writes the tail that belongs to the text before it.
pub(crate) fn with_tail(link: &str, caveats: &[&str]) -> String {
    let tail = base64(tails(link, caveats).last().unwrap());
    [&[link], caveats, &[tail.as_str()]].concat().join(".")
}

pub(crate) fn link_id(tail: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update("webtask/v1/id")
        .chain_update(tail)
        .finalize();
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// A CBOR item. Maps are written in the order that they are given in.
#[derive(Clone)]
pub(crate) enum Item {
    Array(Vec<Item>),
    Bytes(Vec<u8>),
    Map(Vec<(&'static str, Item)>),
    Number(u64),
    /// Bytes that stand there as they are.
    Raw(Vec<u8>),
    Text(String),
}

pub(crate) fn text(text: &str) -> Item {
    Item::Text(text.to_owned())
}

pub(crate) fn texts(items: &[&str]) -> Item {
    Item::Array(items.iter().map(|item| text(item)).collect())
}

impl Item {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Array(items) => [
                head(4, items.len()),
                items.iter().flat_map(Self::encode).collect(),
            ]
            .concat(),
            Self::Bytes(bytes) => [head(2, bytes.len()), bytes.clone()].concat(),
            Self::Map(entries) => {
                let entry =
                    |(key, value): &(&str, Self)| [text(key).encode(), value.encode()].concat();
                [
                    head(5, entries.len()),
                    entries.iter().flat_map(entry).collect(),
                ]
                .concat()
            }
            Self::Number(number) => head(0, usize::try_from(*number).unwrap()),
            Self::Raw(bytes) => bytes.clone(),
            Self::Text(text) => [head(3, text.len()), text.clone().into_bytes()].concat(),
        }
    }
}

/// The initial bytes of an item, as short as they can be (RFC 8949 section 4.2.1).
fn head(major: u8, n: usize) -> Vec<u8> {
    let first = |low: u8| vec![major << 5 | low];
    match n {
        0..24 => first(u8::try_from(n).unwrap()),
        24..0x100 => [first(24), u8::try_from(n).unwrap().to_be_bytes().to_vec()].concat(),
        0x100..0x1_0000 => [first(25), u16::try_from(n).unwrap().to_be_bytes().to_vec()].concat(),
        0x1_0000..0x1_0000_0000 => {
            [first(26), u32::try_from(n).unwrap().to_be_bytes().to_vec()].concat()
        }
        _ => [first(27), u64::try_from(n).unwrap().to_be_bytes().to_vec()].concat(),
    }
}
