//! The text round the claims: `wt1.<kid>.<sealed>{.<caveat>}.<tail>`.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::caveat::changes;
use crate::keyring::Key;
use crate::rights::times;
use crate::{
    Caveat, Claims, Error, KeyId, Keyring, LinkId, MAX_CAVEATS, MAX_TOKEN_LEN, SealError, decode,
    encode,
};

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

impl Keyring {
    /// Seals claims into a token with the sealing key and a nonce of its own.
    ///
    /// # Errors
    /// [`SealError::Invalid`] for claims that [`open`](Self::open) would refuse, [`SealError::TooLong`]
    /// beyond [`MAX_TOKEN_LEN`].
    pub fn seal(&self, claims: &Claims) -> Result<String, SealError> {
        claims.check().map_err(SealError::Invalid)?;
        let key = self.sealing();
        let mut nonce = XNonce::default();
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let head = format!("wt1.{}", key.kid);
        let mut buffer = encode::claims(claims)?;
        cipher(key)
            .encrypt_in_place(&nonce, head.as_bytes(), &mut *buffer)
            .map_err(|_| SealError::TooLong)?;
        let sealed = [nonce.as_slice(), buffer.as_slice()].concat();
        let link = format!("{head}.{}", BASE64URL_NOPAD.encode(&sealed));
        let tail = mac(key.chain.as_slice(), &link).finalize().into_bytes();
        let token = format!("{link}.{}", BASE64URL_NOPAD.encode(&tail));
        if token.len() > MAX_TOKEN_LEN {
            Err(SealError::TooLong)
        } else {
            Ok(token)
        }
    }

    /// Opens a token at a time, in Unix seconds: tail first, then the sealed claims and the caveats, then
    /// the clock. What the token allows is then in [`Opened::rights`], not in its claims.
    ///
    /// # Errors
    /// See [`Error`]. What differs between errors that are not [authenticated](Error::authenticated)
    /// must not be shown to the caller.
    pub fn open(&self, token: &str, now: u64) -> Result<Opened, Error> {
        let mut parts = Parts::parse(token)?;
        let known = self.find(parts.kid);
        // An unknown key takes the time of a forgery: the tail is computed all the same.
        let links = parts.authenticate(known.unwrap_or_else(|| self.sealing()));
        let key = known.ok_or(Error::UnknownKey)?;
        let links = links?;
        let id = *links.last().ok_or(Error::Unauthentic)?;
        let claims = decode::claims(parts.decrypt(key)?)?;
        let mut caveats: Vec<Caveat> = Vec::with_capacity(parts.caveats.len());
        for (_, bytes) in &parts.caveats {
            caveats.push(decode::caveat(bytes)?);
        }
        for (place, caveat) in caveats.iter().enumerate() {
            let mut earlier = caveats.iter().take(place).map(|caveat| &caveat.params);
            if changes(&caveat.params, &claims.params)
                || earlier.any(|fixed| changes(&caveat.params, fixed))
            {
                return Err(Error::ParamFixed { caveat: place + 1 });
            }
        }
        match times(&claims, &caveats) {
            (_, exp) if now >= exp => Err(Error::Expired { exp, now }),
            (Some(nbf), _) if now < nbf => Err(Error::NotYetValid { nbf, now }),
            _ => Ok(Opened {
                claims,
                caveats,
                kid: key.kid.clone(),
                id,
                links,
            }),
        }
    }
}

/// An authentic token of this time.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What was sealed. Caveats have taken from it: see [`rights`](Self::rights).
    pub claims: Claims,
    /// What holders took away since, first to last.
    pub caveats: Vec<Caveat>,
    /// The key that sealed it.
    pub kid: KeyId,
    /// This token: its last link.
    pub id: LinkId,
    /// All links, root first; a revoked one revokes the token.
    pub links: Vec<LinkId>,
}

/// Reads of a token what needs no key. None of it is authentic.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::UnsupportedVersion`].
pub fn inspect(token: &str) -> Result<Inspected, Error> {
    let parts = Parts::parse(token)?;
    Ok(Inspected {
        kid: parts.kid.parse().map_err(|_| KID)?,
        sealed_len: parts.sealed.len(),
        caveats: parts
            .caveats
            .iter()
            .map(|(text, _)| (*text).to_owned())
            .collect(),
        len: token.len(),
    })
}

/// What anybody can read of a token.
#[derive(Clone, Eq, PartialEq)]
pub struct Inspected {
    /// The key that it says it was sealed with.
    pub kid: KeyId,
    /// Length of nonce, sealed claims and tag, in bytes.
    pub sealed_len: usize,
    /// The caveats as they stand in the token, in base64url.
    pub caveats: Vec<String>,
    /// Length of the token, in bytes.
    pub len: usize,
}

impl fmt::Debug for Inspected {
    /// Caveats by their number: their text is a part of the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspected")
            .field("kid", &self.kid)
            .field("sealed_len", &self.sealed_len)
            .field("caveats", &self.caveats.len())
            .field("len", &self.len)
            .finish()
    }
}

/// A token taken apart: well-formed, bounded, and not yet believed.
pub(crate) struct Parts<'a> {
    /// `wt1.<kid>`
    head: &'a str,
    kid: &'a str,
    /// `wt1.<kid>.<sealed>`
    link: &'a str,
    /// Wiped, because it is decrypted where it stands.
    sealed: Zeroizing<Vec<u8>>,
    /// Text and bytes of each.
    pub(crate) caveats: Vec<(&'a str, Vec<u8>)>,
    pub(crate) tail: [u8; 32],
}

const KID: Error = Error::Malformed("the kid is not 1 to 32 of [A-Za-z0-9_-]");

impl<'a> Parts<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, Error> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(Error::Malformed("longer than 8 KiB"));
        }
        let (version, rest) = token
            .split_once('.')
            .ok_or(Error::Malformed("not a webtask token"))?;
        match version.strip_prefix("wt") {
            Some("1") => {}
            Some(other) if !other.is_empty() && other.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(Error::UnsupportedVersion);
            }
            _ => return Err(Error::Malformed("not a webtask token")),
        }
        let (kid, rest) = rest.split_once('.').ok_or(KID)?;
        if !KeyId::fits(kid) {
            return Err(KID);
        }
        let (rest, tail) = rest.rsplit_once('.').ok_or(Error::Malformed(
            "the sealed claims or the tail are missing",
        ))?;
        let mut pieces = rest.split('.');
        if pieces.clone().nth(MAX_CAVEATS + 1).is_some() {
            return Err(Error::Malformed("more than 16 caveats"));
        }
        let sealed = pieces.next().unwrap_or_default();
        let caveats: Vec<(&str, Vec<u8>)> = pieces
            .map(|text| Ok((text, unbase64(text)?)))
            .collect::<Result<_, Error>>()?;
        if caveats.iter().any(|(text, _)| text.is_empty()) {
            return Err(Error::Malformed("a caveat is empty"));
        }
        let head_len = version.len() + 1 + kid.len();
        let link_len = head_len + 1 + sealed.len();
        Ok(Self {
            head: token.get(..head_len).ok_or(KID)?,
            kid,
            link: token.get(..link_len).ok_or(KID)?,
            sealed: Zeroizing::new(unbase64(sealed)?),
            caveats,
            tail: untail(tail)?,
        })
    }

    /// Walks the chain and compares its end with the tail in constant time; all links, root first.
    fn authenticate(&self, key: &Key) -> Result<Vec<LinkId>, Error> {
        let mut links = Vec::with_capacity(self.caveats.len() + 1);
        let mut last = mac(key.chain.as_slice(), self.link);
        for (text, _) in &self.caveats {
            // This is the tail of a wider token than the one we were given.
            let tail: Zeroizing<[u8; 32]> = Zeroizing::new(last.finalize().into_bytes().into());
            links.push(LinkId::of(tail.as_slice()));
            last = mac(tail.as_slice(), text);
        }
        last.verify_slice(&self.tail)
            .map_err(|_| Error::Unauthentic)?;
        links.push(LinkId::of(&self.tail));
        Ok(links)
    }

    /// The claims, in the place of what was sealed.
    fn decrypt(&mut self, key: &Key) -> Result<&[u8], Error> {
        let (nonce, rest) = self
            .sealed
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(Error::Unauthentic)?;
        let (text, tag) = rest
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Error::Unauthentic)?;
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        cipher(key)
            .decrypt_inout_detached(&nonce, self.head.as_bytes(), (&mut *text).into(), &tag)
            .map_err(|_| Error::Unauthentic)?;
        Ok(text)
    }
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new_from_slice(key.seal.as_slice()).expect("the key is 32 bytes")
}

/// The tail after one more caveat.
pub(crate) fn link_tail(tail: &[u8; 32], caveat: &str) -> [u8; 32] {
    mac(tail, caveat).finalize().into_bytes().into()
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(text)
}

fn untail(text: &str) -> Result<[u8; 32], Error> {
    let mut tail = [0; 32];
    if text.len() != BASE64URL_NOPAD.encode_len(tail.len()) {
        return Err(Error::Malformed("the tail is not 32 bytes"));
    }
    BASE64URL_NOPAD
        .decode_mut(text.as_bytes(), &mut tail)
        .map_err(|_| NOT_BASE64URL)?;
    Ok(tail)
}

const NOT_BASE64URL: Error = Error::Malformed("a part is not canonical base64url");

/// Decodes base64url without padding. There is one text for any bytes: trailing bits are zero.
pub(crate) fn unbase64(text: &str) -> Result<Vec<u8>, Error> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| NOT_BASE64URL)
}
