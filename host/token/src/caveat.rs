//! Caveats: what a holder takes away from a token, without any key.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;

use crate::claims::{MAX_TIME, is_name};
use crate::envelope::{Parts, link_tail, unbase64};
use crate::grant::is_method;
use crate::origin::after_canonical;
use crate::{
    AttenuateError, Error, Grant, Limits, MAX_CAVEATS, MAX_TOKEN_LEN, decode, encode, path,
};

const MAX_NOTE_LEN: usize = 256;

/// One narrowing of a token. Every field that is set must hold; a field that is not set takes nothing away.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Caveat {
    /// Not valid at or after, in Unix seconds.
    pub exp: Option<u64>,
    /// Not valid before, in Unix seconds.
    pub nbf: Option<u64>,
    /// Methods of the inbound request, in upper case, at least one.
    pub methods: Option<Vec<String>>,
    /// Path of the inbound request as the guest sees it; a prefix if it ends in `*`.
    pub path: Option<String>,
    /// Browser origins that may call, as they stand in the header `Origin`, at least one.
    pub origins: Option<Vec<String>>,
    /// Parameters that are fixed from here on. One that is fixed already cannot get another value.
    pub params: BTreeMap<String, String>,
    /// Lower limits. `rate` counts for this link and all tokens that are made from it.
    pub lim: Limits,
    /// Outbound requests must be allowed by these grants as well. An empty list allows none.
    pub out: Option<Vec<Grant>>,
    /// Free text for the audit, 1 to 256 bytes.
    pub note: Option<String>,
}

impl Caveat {
    /// Reads a caveat as it stands in a token; see [`Inspected::caveats`](crate::Inspected::caveats). It may
    /// not be authentic.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn decode(text: &str) -> Result<Self, Error> {
        decode::caveat(&unbase64(text)?)
    }

    /// The rules that types do not hold. Attenuating and opening check the same ones.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let Self {
            exp,
            nbf,
            methods,
            path,
            origins,
            params,
            lim: _,
            out,
            note,
        } = self;
        let rule = |holds: bool, text: &'static str| if holds { Ok(()) } else { Err(text) };
        rule(*self != Self::default(), "a caveat takes nothing away")?;
        rule(
            exp.max(nbf).is_none_or(|time| time <= MAX_TIME),
            "a time of a caveat is after the year 9999; times are in seconds",
        )?;
        rule(
            is_set(methods.as_deref(), is_method),
            "the methods of a caveat are not one or more in upper case, sorted, each once",
        )?;
        rule(
            path.as_deref().is_none_or(path::is_pattern),
            "the path of a caveat does not begin with /, or is not plain",
        )?;
        rule(
            is_set(origins.as_deref(), is_browser_origin),
            "the origins of a caveat are not one or more as a browser writes them, sorted, each once",
        )?;
        rule(
            params.keys().all(|name| is_name(name)),
            "a name is 1 to 64 of [A-Za-z0-9_.-]",
        )?;
        rule(
            !params.values().any(|value| value.contains('\0')),
            "a parameter holds NUL",
        )?;
        rule(
            out.iter().flatten().all(|grant| grant.check().is_ok()),
            "a grant is not valid",
        )?;
        rule(
            note.as_ref()
                .is_none_or(|note| (1..=MAX_NOTE_LEN).contains(&note.len())),
            "a note is not 1 to 256 bytes",
        )
    }
}

impl fmt::Debug for Caveat {
    /// Names of parameters, never values; the note by its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caveat")
            .field("exp", &self.exp)
            .field("nbf", &self.nbf)
            .field("methods", &self.methods)
            .field("path", &self.path)
            .field("origins", &self.origins)
            .field("params", &self.params.keys())
            .field("lim", &self.lim)
            .field("out", &self.out)
            .field("note", &self.note.as_ref().map(String::len))
            .finish()
    }
}

/// Narrows a token: `tail' = HMAC-SHA256(tail, caveat)`. Needs no key, no clock and no random bytes.
///
/// Methods and origins are sorted, and each is written once. Nothing here believes the token: one that
/// is not authentic, attenuated, is not authentic either.
///
/// # Errors
/// See [`AttenuateError`].
pub fn attenuate(token: &str, caveat: &Caveat) -> Result<String, AttenuateError> {
    let mut caveat = caveat.clone();
    for list in [&mut caveat.methods, &mut caveat.origins]
        .into_iter()
        .flatten()
    {
        list.sort_unstable();
        list.dedup();
    }
    caveat.check().map_err(AttenuateError::Invalid)?;
    let parts = Parts::parse(token).map_err(AttenuateError::Token)?;
    if parts.caveats.len() >= MAX_CAVEATS {
        return Err(AttenuateError::TooMany);
    }
    for (_, earlier) in &parts.caveats {
        let earlier = decode::caveat(earlier).map_err(AttenuateError::Token)?;
        if changes(&caveat.params, &earlier.params) {
            return Err(AttenuateError::ParamFixed);
        }
    }
    let text = BASE64URL_NOPAD.encode(&encode::caveat(&caveat));
    let tail = link_tail(&parts.tail, &text);
    let (link, _) = token
        .rsplit_once('.')
        .ok_or(AttenuateError::Token(Error::Malformed("not a token")))?;
    let narrowed = format!("{link}.{text}.{}", BASE64URL_NOPAD.encode(tail.as_slice()));
    if narrowed.len() > MAX_TOKEN_LEN {
        Err(AttenuateError::TooLong)
    } else {
        Ok(narrowed)
    }
}

/// True if `params` give a name that is in `fixed` another value.
pub(crate) fn changes(params: &BTreeMap<String, String>, fixed: &BTreeMap<String, String>) -> bool {
    params
        .iter()
        .any(|(name, value)| fixed.get(name).is_some_and(|old| old != value))
}

/// True for no list, or one or more items that fit, in order, each once.
fn is_set(list: Option<&[String]>, fits: fn(&str) -> bool) -> bool {
    list.is_none_or(|list| {
        !list.is_empty() && list.iter().all(|item| fits(item)) && list.is_sorted_by(|a, b| a < b)
    })
}

/// An origin as browsers serialise it (WHATWG HTML, "ASCII serialization of an origin"). Not `null`:
/// every sandboxed frame and every local file has that one.
fn is_browser_origin(text: &str) -> bool {
    after_canonical(text) == Some("")
}
