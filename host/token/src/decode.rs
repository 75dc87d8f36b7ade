//! Claims from deterministic CBOR (RFC 8949 section 4.2.1).
//!
//! The decoder reads what the schema allows and nothing else, then encodes the result again and
//! compares: whatever it did not think of (long integers, defaults written out, odd spellings of an
//! origin) differs there.

use std::collections::BTreeMap;

use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

use crate::encode::write_claims;
use crate::{Carrier, Claims, Error, Grant, Limits, LinkId, Secret, SecretClaim, Slot};

/// Decodes claims and checks that they are valid and that these bytes are their only encoding.
pub(crate) fn from_cbor(bytes: &[u8]) -> Result<Claims, Error> {
    let mut reader = Reader(Decoder::new(bytes));
    let claims = read_claims(&mut reader)?;
    claims.check().map_err(Error::Malformed)?;
    let mut again = Encoder::new(Same(bytes));
    match write_claims(&mut again, &claims) {
        Ok(()) if again.writer().0.is_empty() => Ok(claims),
        _ => Err(Error::Malformed("the claims are not deterministic CBOR")),
    }
}

/// A writer that only checks that it is given these bytes again.
struct Same<'a>(&'a [u8]);

impl Write for Same<'_> {
    type Error = ();

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = self.0.strip_prefix(bytes).ok_or(())?;
        Ok(())
    }
}

fn read_claims(r: &mut Reader<'_>) -> Result<Claims, Error> {
    let (mut url, mut iat, mut exp) = (None, None, None);
    let mut c = Claims::new("", 0);
    r.map(|key, r| {
        match key {
            "exp" => exp = Some(r.number()?),
            "iat" => iat = Some(r.number()?),
            "iss" => c.iss = r.array(|r| Ok(LinkId::from(r.bytes()?)))?,
            "lim" => c.lim = read_limits(r)?,
            "nbf" => c.nbf = Some(r.number()?),
            "out" => c.out = r.array(read_grant)?,
            "ten" => c.tenant = r.text()?.to_owned(),
            "url" => url = Some(r.text()?.to_owned()),
            "via" => c.via = r.array(read_carrier)?,
            "params" => c.params = r.dictionary(|r| Ok(r.text()?.to_owned()))?,
            "sha256" => c.sha256 = Some(r.bytes()?),
            "secrets" => c.secrets = r.dictionary(read_secret)?,
            _ => return Err(Error::Malformed("the claims hold an unknown key")),
        }
        Ok(())
    })?;
    c.url = url.ok_or(Error::Malformed("the claim `url` is missing"))?;
    c.iat = iat.ok_or(Error::Malformed("the claim `iat` is missing"))?;
    c.exp = exp.ok_or(Error::Malformed("the claim `exp` is missing"))?;
    Ok(c)
}

fn read_limits(r: &mut Reader<'_>) -> Result<Limits, Error> {
    let mut limits = Limits::default();
    r.map(|name, r| {
        let field = limits
            .field(name)
            .ok_or(Error::Malformed("the claim `lim` holds an unknown key"))?;
        *field = Some(r.number()?);
        Ok(())
    })?;
    Ok(limits)
}

fn read_grant(r: &mut Reader<'_>) -> Result<Grant, Error> {
    r.array_of(3)?;
    let methods = r.array(|r| Ok(r.text()?.to_owned()))?;
    let origin = r
        .text()?
        .parse()
        .map_err(|_| Error::Malformed("a grant is not valid"))?;
    Ok(Grant {
        methods,
        origin,
        path: r.text()?.to_owned(),
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
            value: Secret::new(r.text()?.to_owned()),
            slots: Vec::new(),
        });
    }
    let slots = r
        .array_len()?
        .checked_sub(1)
        .ok_or(Error::Malformed("a secret has no value"))?;
    let mut secret = SecretClaim {
        value: Secret::new(r.text()?.to_owned()),
        slots: Vec::new(),
    };
    for _ in 0..slots {
        r.array_of(5)?;
        let invalid = |_| Error::Malformed("a slot is not valid");
        secret.slots.push(Slot {
            method: r.text()?.to_owned(),
            origin: r.text()?.parse().map_err(invalid)?,
            path: r.text()?.to_owned(),
            header: r.text()?.to_owned(),
            format: r.text()?.parse().map_err(invalid)?,
        });
    }
    Ok(secret)
}

/// The part of CBOR that claims use. Lengths are believed only as far as there are bytes.
struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    fn number(&mut self) -> Result<u64, Error> {
        self.0.u64().map_err(unexpected)
    }

    fn text(&mut self) -> Result<&'b str, Error> {
        self.0.str().map_err(unexpected)
    }

    fn is_text(&self) -> bool {
        matches!(self.0.datatype(), Ok(minicbor::data::Type::String))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.0.bytes().map_err(unexpected)?;
        bytes
            .try_into()
            .map_err(|_| Error::Malformed("a digest or a link id is not of its length"))
    }

    fn array_len(&mut self) -> Result<u64, Error> {
        self.0.array().map_err(unexpected)?.ok_or(INDEFINITE)
    }

    fn array_of(&mut self, len: u64) -> Result<(), Error> {
        if self.array_len()? == len {
            Ok(())
        } else {
            Err(Error::Malformed(
                "a grant or a slot has too many or too few items",
            ))
        }
    }

    fn array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        for _ in 0..self.array_len()? {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn dictionary<T>(
        &mut self,
        mut value: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<BTreeMap<String, T>, Error> {
        let mut entries = BTreeMap::new();
        self.map(|name, r| {
            entries.insert(name.to_owned(), value(r)?);
            Ok(())
        })?;
        Ok(entries)
    }

    fn map(
        &mut self,
        mut entry: impl FnMut(&'b str, &mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut last = None;
        for _ in 0..self.0.map().map_err(unexpected)?.ok_or(INDEFINITE)? {
            let key = self.text()?;
            let place = Some((key.len(), key));
            if place == last {
                return Err(Error::Malformed("a key of a map stands twice"));
            } else if place < last {
                return Err(Error::Malformed("the keys of a map are out of order"));
            }
            last = place;
            entry(key, self)?;
        }
        Ok(())
    }
}

const INDEFINITE: Error = Error::Malformed("an indefinite length");

fn unexpected(_: minicbor::decode::Error) -> Error {
    Error::Malformed("the claims are cut short, or not of the types that they should be")
}
