//! Claims from deterministic CBOR (RFC 8949 section 4.2.1).
//!
//! The decoder reads what the schema allows and nothing else, then encodes the result again and
//! compares: whatever it did not think of (long integers, defaults written out, odd spellings of an
//! origin) differs there.

use crate::cbor::{Reader, is_encoding_of};
use crate::encode::{write_caveat, write_claims};
use crate::{
    Carrier, Caveat, Ceiling, Claims, DEFAULT_TENANT, Error, Grant, Kind, Limits, LinkId, Secret,
    SecretClaim, Slot,
};

/// Decodes claims and checks that they are valid and that these bytes are their only encoding.
pub(crate) fn claims(bytes: &[u8]) -> Result<Claims, Error> {
    let claims = read_claims(&mut Reader::new(bytes))?;
    claims.check().map_err(Error::Malformed)?;
    if is_encoding_of(bytes, |e| write_claims(e, &claims)) {
        Ok(claims)
    } else {
        Err(Error::Malformed("the claims are not deterministic CBOR"))
    }
}

/// Decodes a caveat, as [`claims`] does.
pub(crate) fn caveat(bytes: &[u8]) -> Result<Caveat, Error> {
    let caveat = read_caveat(&mut Reader::new(bytes))?;
    caveat.check().map_err(Error::Malformed)?;
    if is_encoding_of(bytes, |e| write_caveat(e, &caveat)) {
        Ok(caveat)
    } else {
        Err(Error::Malformed("a caveat is not deterministic CBOR"))
    }
}

fn read_claims(r: &mut Reader<'_>) -> Result<Claims, Error> {
    let (mut iat, mut exp) = (None, None);
    let (mut tenant, mut issues) = (None, false);
    let mut c = Claims::of(String::new(), String::new(), 0);
    r.map(|key, r| {
        match key {
            "exp" => exp = Some(r.number()?),
            "iat" => iat = Some(r.number()?),
            "iss" => c.iss = r.array(|r| Ok(LinkId::from(r.bytes()?)))?,
            "lim" => c.lim = read_limits(r)?,
            "nbf" => c.nbf = Some(r.number()?),
            "out" => c.out = r.array(read_grant)?,
            "ten" => tenant = Some(r.string()?),
            "url" => c.url = r.string()?,
            "via" => c.via = r.array(read_carrier)?,
            "kind" if r.text()? == "issue" => issues = true,
            "issue" => c.kind = Kind::Issue(Box::new(read_ceiling(r)?)),
            "params" => c.params = r.dictionary(Reader::string)?,
            "sha256" => c.sha256 = Some(r.bytes()?),
            "secrets" => c.secrets = r.dictionary(read_secret)?,
            _ => return Err(Error::Malformed("the claims hold an unknown key")),
        }
        Ok(())
    })?;
    if issues != matches!(c.kind, Kind::Issue(_)) {
        return Err(Error::Malformed("of `kind` and `issue` one is missing"));
    }
    c.tenant = tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
    c.iat = iat.ok_or(Error::Malformed("the claim `iat` is missing"))?;
    c.exp = exp.ok_or(Error::Malformed("the claim `exp` is missing"))?;
    Ok(c)
}

fn read_ceiling(r: &mut Reader<'_>) -> Result<Ceiling, Error> {
    let mut life = None;
    let mut c = Ceiling::new(Vec::new(), 0);
    r.map(|key, r| {
        match key {
            "lim" => c.lim = read_limits(r)?,
            "out" => c.out = r.array(read_grant)?,
            "via" => c.via = r.array(read_carrier)?,
            "life" => life = Some(r.number()?),
            "urls" => c.urls = r.array(Reader::string)?,
            "params" => c.params = r.array(Reader::string)?,
            "secrets" => c.secrets = r.array(Reader::string)?,
            "unpinned" => c.unpinned = r.boolean()?,
            _ => return Err(Error::Malformed("a ceiling holds an unknown key")),
        }
        Ok(())
    })?;
    c.life = life.ok_or(Error::Malformed("a ceiling has no `life`"))?;
    Ok(c)
}

fn read_caveat(r: &mut Reader<'_>) -> Result<Caveat, Error> {
    let mut c = Caveat::default();
    r.map(|key, r| {
        match key {
            "exp" => c.exp = Some(r.number()?),
            "lim" => c.lim = read_limits(r)?,
            "nbf" => c.nbf = Some(r.number()?),
            "out" => c.out = Some(r.array(read_grant)?),
            "note" => c.note = Some(r.string()?),
            "path" => c.path = Some(r.string()?),
            "params" => c.params = r.dictionary(Reader::string)?,
            "methods" => c.methods = Some(r.array(Reader::string)?),
            "origins" => c.origins = Some(r.array(Reader::string)?),
            _ => return Err(Error::Malformed("a caveat holds an unknown key")),
        }
        Ok(())
    })?;
    Ok(c)
}

fn read_limits(r: &mut Reader<'_>) -> Result<Limits, Error> {
    let mut limits = Limits::default();
    r.map(|name, r| {
        let field = limits
            .field(name)
            .ok_or(Error::Malformed("`lim` holds an unknown key"))?;
        *field = Some(r.number()?);
        Ok(())
    })?;
    Ok(limits)
}

fn read_grant(r: &mut Reader<'_>) -> Result<Grant, Error> {
    r.array_of(3)?;
    let methods = r.array(Reader::short)?;
    let origin = r
        .text()?
        .parse()
        .map_err(|_| Error::Malformed("a grant is not valid"))?;
    Ok(Grant {
        methods,
        origin,
        path: r.short()?,
    })
}

fn read_carrier(r: &mut Reader<'_>) -> Result<Carrier, Error> {
    match r.text()? {
        "path" => Ok(Carrier::Path),
        _ => Err(Error::Malformed("the claim `via` names an unknown carrier")),
    }
}

fn read_secret(r: &mut Reader<'_>) -> Result<SecretClaim, Error> {
    if r.is_text() {
        return Ok(SecretClaim {
            value: Secret::new(r.string()?),
            slots: Vec::new(),
        });
    }
    let slots = r
        .array_len()?
        .checked_sub(1)
        .ok_or(Error::Malformed("a secret has no value"))?;
    let mut secret = SecretClaim {
        value: Secret::new(r.string()?),
        slots: Vec::new(),
    };
    for _ in 0..slots {
        r.array_of(5)?;
        let invalid = |_| Error::Malformed("a slot is not valid");
        secret.slots.push(Slot {
            method: r.short()?,
            origin: r.text()?.parse().map_err(invalid)?,
            path: r.short()?,
            header: r.short()?,
            format: r.text()?.parse().map_err(invalid)?,
        });
    }
    Ok(secret)
}
