//! Claims to deterministic CBOR (RFC 8949 section 4.2.1): exactly one encoding of any claims.

use minicbor::encode::Write;
use minicbor::{Encoder, encode};
use zeroize::Zeroizing;

use crate::{Carrier, Claims, DEFAULT_TENANT, Kind, MAX_TOKEN_LEN, SealError, SecretClaim};

/// Encodes claims into a buffer with room for an AEAD tag: it must not grow, growing leaves copies behind.
pub(crate) fn to_cbor(claims: &Claims) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut buffer = Zeroizing::new(vec![0; MAX_TOKEN_LEN]);
    let cursor = encode::write::Cursor::new(buffer.as_mut_slice());
    let mut encoder = Encoder::new(cursor);
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
    let Kind::Run = c.kind; // the default, and a default is encoded as absence
    let tenant = Some(&c.tenant).filter(|tenant| *tenant != DEFAULT_TENANT);
    let limits = c.lim.iter();
    let optional = [
        !c.iss.is_empty(),
        limits.clone().next().is_some(),
        c.nbf.is_some(),
        !c.out.is_empty(),
        tenant.is_some(),
        !c.via.is_empty(),
        !c.params.is_empty(),
        c.sha256.is_some(),
        !c.secrets.is_empty(),
    ];
    e.map(3 + count(optional.into_iter().filter(|present| *present)))?;
    e.str("exp")?.u64(c.exp)?;
    e.str("iat")?.u64(c.iat)?;
    if !c.iss.is_empty() {
        e.str("iss")?.array(count(c.iss.iter()))?;
        for link in &c.iss {
            e.bytes(link.as_bytes())?;
        }
    }
    if limits.clone().next().is_some() {
        e.str("lim")?.map(count(limits.clone()))?;
        for (name, limit) in limits {
            e.str(name)?.u64(limit)?;
        }
    }
    if let Some(nbf) = c.nbf {
        e.str("nbf")?.u64(nbf)?;
    }
    if !c.out.is_empty() {
        e.str("out")?.array(count(c.out.iter()))?;
        for grant in &c.out {
            e.array(3)?.array(count(grant.methods.iter()))?;
            for method in &grant.methods {
                e.str(method)?;
            }
            e.str(&grant.origin.to_string())?.str(&grant.path)?;
        }
    }
    if let Some(tenant) = tenant {
        e.str("ten")?.str(tenant)?;
    }
    e.str("url")?.str(&c.url)?;
    if !c.via.is_empty() {
        e.str("via")?.array(count(c.via.iter()))?;
        for Carrier::Path in &c.via {
            e.str("path")?;
        }
    }
    if !c.params.is_empty() {
        e.str("params")?.map(count(c.params.iter()))?;
        for (name, value) in in_order(c.params.iter()) {
            e.str(name)?.str(value)?;
        }
    }
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
        e.array(5)?
            .str(&slot.method)?
            .str(&slot.origin.to_string())?
            .str(&slot.path)?;
        e.str(&slot.header)?.str(&slot.format.to_string())?;
    }
    Ok(())
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
