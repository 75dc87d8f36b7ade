//! The part of CBOR (RFC 8949) that claims and caveats use. It must not know what they say.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use minicbor::encode::{self, Write};
use minicbor::{Decoder, Encoder};
use smol_str::SmolStr;

use crate::Error;

/// True if `write` writes these bytes and no others.
pub(crate) fn is_encoding_of<'a>(
    bytes: &'a [u8],
    write: impl FnOnce(&mut Encoder<Same<'a>>) -> Result<(), encode::Error<()>>,
) -> bool {
    let mut again = Encoder::new(Same(bytes));
    write(&mut again).is_ok() && again.writer().0.is_empty()
}

/// A writer that only checks that it is given these bytes again.
pub(crate) struct Same<'a>(&'a [u8]);

impl Write for Same<'_> {
    type Error = ();

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = self.0.strip_prefix(bytes).ok_or(())?;
        Ok(())
    }
}

/// The part of CBOR that claims use. Lengths are believed only as far as there are bytes.
pub(crate) struct Reader<'b>(Decoder<'b>);

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    pub(crate) fn number(&mut self) -> Result<u64, Error> {
        self.0.u64().map_err(unexpected)
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, Error> {
        self.0.bool().map_err(unexpected)
    }

    pub(crate) fn text(&mut self) -> Result<&'b str, Error> {
        self.0.str().map_err(unexpected)
    }

    pub(crate) fn string(&mut self) -> Result<String, Error> {
        self.text().map(str::to_owned)
    }

    /// A text that is mostly short, for which nothing is allocated then.
    pub(crate) fn short(&mut self) -> Result<SmolStr, Error> {
        self.text().map(SmolStr::new)
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self.0.datatype(), Ok(minicbor::data::Type::String))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.0.bytes().map_err(unexpected)?;
        bytes
            .try_into()
            .map_err(|_| Error::Malformed("a digest or a link id is not of its length"))
    }

    pub(crate) fn array_len(&mut self) -> Result<u64, Error> {
        self.0.array().map_err(unexpected)?.ok_or(INDEFINITE)
    }

    pub(crate) fn array_of(&mut self, len: u64) -> Result<(), Error> {
        if self.array_len()? == len {
            Ok(())
        } else {
            Err(Error::Malformed(
                "a grant or a slot has too many or too few items",
            ))
        }
    }

    pub(crate) fn array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        for _ in 0..self.array_len()? {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(crate) fn dictionary<T>(
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

    pub(crate) fn map(
        &mut self,
        mut entry: impl FnMut(&'b str, &mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut last = None;
        for _ in 0..self.0.map().map_err(unexpected)?.ok_or(INDEFINITE)? {
            let key = self.text()?;
            let place = Some((key.len(), key));
            match place.cmp(&last) {
                Ordering::Greater => last = place,
                Ordering::Equal => return Err(Error::Malformed("a key of a map stands twice")),
                Ordering::Less => {
                    return Err(Error::Malformed("the keys of a map are out of order"));
                }
            }
            entry(key, self)?;
        }
        Ok(())
    }
}

const INDEFINITE: Error = Error::Malformed("an indefinite length");

fn unexpected(_: minicbor::decode::Error) -> Error {
    Error::Malformed("CBOR is cut short, or not of the types that it should be")
}
