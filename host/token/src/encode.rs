//! Claims to deterministic CBOR (RFC 8949 section 4.2.1): exactly one encoding of any claims.

use std::collections::BTreeMap;

use minicbor::encode::Write;
use minicbor::{Encoder, encode};
use zeroize::Zeroizing;

use crate::{
    Carrier, Caveat, Ceiling, Claims, DEFAULT_TENANT, Format, Grant, Kind, Limits, MAX_TOKEN_LEN,
    Origin, SealError, SecretClaim,
};

/// More would be too long in base64url, which has four characters for three bytes.
const MAX_CLAIMS_LEN: usize = MAX_TOKEN_LEN / 4 * 3;

/// Encodes claims into a buffer with room for an AEAD tag: it must not grow, growing leaves copies behind.
pub(crate) fn claims(claims: &Claims) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut buffer = Zeroizing::new(vec![0; MAX_TOKEN_LEN]);
    let room = buffer.first_chunk_mut::<MAX_CLAIMS_LEN>();
    let room = room.ok_or(SealError::TooLong)?.as_mut_slice();
    let mut encoder = Encoder::new(encode::write::Cursor::new(room));
    write_claims(&mut encoder, claims).map_err(|_| SealError::TooLong)?;
    let len = encoder.writer().position();
    buffer.truncate(len);
    Ok(buffer)
}

/// Writes the claims; every default is written as absence.
pub(crate) fn write_claims<W: Write>(
    e: &mut Encoder<W>,
    c: &Claims,
) -> Result<(), encode::Error<W::Error>> {
    let ceiling = match &c.kind {
        Kind::Run => None, // the default, and a default is encoded as absence
        Kind::Issue(ceiling) => Some(ceiling),
    };
    let tenant = Some(&c.tenant).filter(|tenant| *tenant != DEFAULT_TENANT);
    let optional = [
        !c.iss.is_empty(),
        c.lim.iter().next().is_some(),
        c.nbf.is_some(),
        !c.out.is_empty(),
        tenant.is_some(),
        !c.url.is_empty(),
        !c.via.is_empty(),
        ceiling.is_some(), // `kind`
        ceiling.is_some(), // `issue`
        !c.params.is_empty(),
        c.sha256.is_some(),
        !c.secrets.is_empty(),
    ];
    e.map(2 + count(optional.into_iter().filter(|present| *present)))?;
    e.str("exp")?.u64(c.exp)?;
    e.str("iat")?.u64(c.iat)?;
    if !c.iss.is_empty() {
        e.str("iss")?.array(count(c.iss.iter()))?;
        for link in &c.iss {
            e.bytes(link.as_bytes())?;
        }
    }
    write_limits(e, &c.lim)?;
    if let Some(nbf) = c.nbf {
        e.str("nbf")?.u64(nbf)?;
    }
    if !c.out.is_empty() {
        write_grants(e.str("out")?, &c.out)?;
    }
    if let Some(tenant) = tenant {
        e.str("ten")?.str(tenant)?;
    }
    if !c.url.is_empty() {
        e.str("url")?.str(&c.url)?;
    }
    write_carriers(e, &c.via)?;
    if let Some(ceiling) = ceiling {
        e.str("kind")?.str("issue")?;
        write_ceiling(e.str("issue")?, ceiling)?;
    }
    write_params(e, &c.params)?;
    if let Some(digest) = &c.sha256 {
        e.str("sha256")?.bytes(digest)?;
    }
    if !c.secrets.is_empty() {
        e.str("secrets")?.map(count(c.secrets.iter()))?;
        for (name, secret) in in_order(c.secrets.iter()) {
            write_secret(e.str(name)?, secret)?;
        }
    }
    Ok(())
}

/// Encodes a caveat.
pub(crate) fn caveat(caveat: &Caveat) -> Vec<u8> {
    let mut encoder = Encoder::new(Growing(Vec::new()));
    write_caveat(&mut encoder, caveat).expect("a vector takes every byte");
    encoder.into_writer().0
}

/// Writes a caveat; what is not set is written as absence.
pub(crate) fn write_caveat<W: Write>(
    e: &mut Encoder<W>,
    c: &Caveat,
) -> Result<(), encode::Error<W::Error>> {
    let present = [
        c.exp.is_some(),
        c.lim.iter().next().is_some(),
        c.nbf.is_some(),
        c.out.is_some(),
        c.note.is_some(),
        c.path.is_some(),
        !c.params.is_empty(),
        c.methods.is_some(),
        c.origins.is_some(),
    ];
    e.map(count(present.into_iter().filter(|present| *present)))?;
    if let Some(exp) = c.exp {
        e.str("exp")?.u64(exp)?;
    }
    write_limits(e, &c.lim)?;
    if let Some(nbf) = c.nbf {
        e.str("nbf")?.u64(nbf)?;
    }
    if let Some(out) = &c.out {
        write_grants(e.str("out")?, out)?;
    }
    if let Some(note) = &c.note {
        e.str("note")?.str(note)?;
    }
    if let Some(path) = &c.path {
        e.str("path")?.str(path)?;
    }
    write_params(e, &c.params)?;
    if let Some(methods) = &c.methods {
        write_texts(e.str("methods")?, methods)?;
    }
    if let Some(origins) = &c.origins {
        write_texts(e.str("origins")?, origins)?;
    }
    Ok(())
}

/// A buffer that grows: caveats are no secret.
struct Growing(Vec<u8>);

impl Write for Growing {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn write_ceiling<W: Write>(e: &mut Encoder<W>, c: &Ceiling) -> Result<(), encode::Error<W::Error>> {
    let present = [
        c.lim.iter().next().is_some(),
        !c.out.is_empty(),
        !c.via.is_empty(),
        !c.params.is_empty(),
        !c.secrets.is_empty(),
        c.unpinned,
    ];
    e.map(2 + count(present.into_iter().filter(|present| *present)))?;
    write_limits(e, &c.lim)?;
    if !c.out.is_empty() {
        write_grants(e.str("out")?, &c.out)?;
    }
    write_carriers(e, &c.via)?;
    e.str("life")?.u64(c.life)?;
    write_texts(e.str("urls")?, &c.urls)?;
    if !c.params.is_empty() {
        write_texts(e.str("params")?, &c.params)?;
    }
    if !c.secrets.is_empty() {
        write_texts(e.str("secrets")?, &c.secrets)?;
    }
    if c.unpinned {
        e.str("unpinned")?.bool(true)?;
    }
    Ok(())
}

fn write_carriers<W: Write>(
    e: &mut Encoder<W>,
    via: &[Carrier],
) -> Result<(), encode::Error<W::Error>> {
    if !via.is_empty() {
        e.str("via")?.array(count(via.iter()))?;
        for Carrier::Path in via {
            e.str("path")?;
        }
    }
    Ok(())
}

fn write_limits<W: Write>(
    e: &mut Encoder<W>,
    limits: &Limits,
) -> Result<(), encode::Error<W::Error>> {
    let len = count(limits.iter());
    if len > 0 {
        e.str("lim")?.map(len)?;
        for (name, limit) in limits.iter() {
            e.str(name)?.u64(limit)?;
        }
    }
    Ok(())
}

fn write_params<W: Write>(
    e: &mut Encoder<W>,
    params: &BTreeMap<String, String>,
) -> Result<(), encode::Error<W::Error>> {
    if !params.is_empty() {
        e.str("params")?.map(count(params.iter()))?;
        for (name, value) in in_order(params.iter()) {
            e.str(name)?.str(value)?;
        }
    }
    Ok(())
}

fn write_texts<W: Write>(
    e: &mut Encoder<W>,
    texts: &[impl AsRef<str>],
) -> Result<(), encode::Error<W::Error>> {
    e.array(count(texts.iter()))?;
    for text in texts {
        e.str(text.as_ref())?;
    }
    Ok(())
}

fn write_grants<W: Write>(
    e: &mut Encoder<W>,
    grants: &[Grant],
) -> Result<(), encode::Error<W::Error>> {
    e.array(count(grants.iter()))?;
    for grant in grants {
        write_texts(e.array(3)?, &grant.methods)?;
        write_origin(e, &grant.origin)?;
        e.str(&grant.path)?;
    }
    Ok(())
}

fn write_secret<W: Write>(
    e: &mut Encoder<W>,
    secret: &SecretClaim,
) -> Result<(), encode::Error<W::Error>> {
    if secret.slots.is_empty() {
        return e.str(secret.value.expose())?.ok();
    }
    e.array(1 + count(secret.slots.iter()))?
        .str(secret.value.expose())?;
    for slot in &secret.slots {
        write_origin(e.array(5)?.str(&slot.method)?, &slot.origin)?;
        e.str(&slot.path)?.str(&slot.header)?;
        match &slot.format {
            Format::Template(text) => e.str(text)?,
            other => e.str(&other.to_string())?,
        };
    }
    Ok(())
}

/// The text of an origin, in pieces: every opening writes each origin again, to compare.
fn write_origin<W: Write>(
    e: &mut Encoder<W>,
    origin: &Origin,
) -> Result<(), encode::Error<W::Error>> {
    if origin.port() != origin.scheme().default_port() {
        return e.str(&origin.to_string())?.ok();
    }
    let pieces = [origin.scheme().as_str(), "://", origin.host()];
    e.str_len(pieces.iter().map(|piece| piece.len() as u64).sum())?;
    let mut write = |piece: &str| e.writer_mut().write_all(piece.as_bytes());
    pieces
        .into_iter()
        .try_for_each(|piece| write(piece).map_err(encode::Error::write))
}

fn count(items: impl Iterator) -> u64 {
    items.fold(0, |n, _| n + 1)
}

/// Text keys in the order of their encodings: shorter first, then by bytes.
fn in_order<'a, V>(entries: impl Iterator<Item = (&'a String, V)>) -> Vec<(&'a String, V)> {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|(name, _)| (name.len(), *name));
    entries
}
