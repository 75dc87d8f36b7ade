//! Minting: a run token below an issuer token's ceiling, and the JSON that asks for one.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::caveat::changes;
use crate::{
    AttenuateError, Carrier, Ceiling, Claims, DEFAULT_LIFE, Error, Keyring, Kind, Opened,
    ParseError, SealError, Secret, SecretClaim, attenuate,
};

impl Opened {
    /// Mints what `request` asks for, if this is an issuer token and its ceiling allows it.
    ///
    /// The new token belongs to this one's tenant, names its links in `iss`, and carries each of its
    /// caveats: an issuer token that was narrowed mints tokens that are as narrow.
    ///
    /// # Errors
    /// See [`MintError`].
    pub fn mint(
        &self,
        request: MintRequest,
        keyring: &Keyring,
        now: u64,
    ) -> Result<Minted, MintError> {
        let Kind::Issue(ceiling) = &self.claims.kind else {
            return Err(MintError::NotIssuer);
        };
        let mut claims = request.claims(ceiling, now)?;
        claims.tenant.clone_from(&self.claims.tenant);
        claims.iss.clone_from(&self.links);
        let mut wide = ceiling.too_wide(&claims, now);
        if self
            .caveats
            .iter()
            .any(|caveat| changes(&caveat.params, &claims.params))
        {
            wide.push("params: one is fixed to another value by a caveat".to_owned());
        }
        if !wide.is_empty() {
            return Err(MintError::TooWide(wide));
        }
        let mut token = keyring.seal(&claims).map_err(MintError::Seal)?;
        for caveat in &self.caveats {
            token = attenuate(&token, caveat).map_err(MintError::Attenuate)?;
        }
        let rights = keyring.open(&token, now).map_err(MintError::Open)?.rights();
        Ok(Minted {
            token,
            id: rights.id.to_string(),
            expires: rights.exp,
        })
    }
}

/// The body of `POST /v1/tokens`. What it leaves out, the token does not get.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MintRequest {
    /// Where the component is.
    pub url: String,
    /// Its SHA-256, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Asks for a token without digest by name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpinned: bool,
    /// Secrets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Zeroizing<String>>,
    /// Slots: `NAME=METHOD URL HEADER: FORMAT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<String>,
    /// Parameters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Outbound grants: `METHODS URL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Seconds from now to the end. Left out: 30 days, or as long as the ceiling allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Limits: a number in the unit of the claim, or text as in `64MiB`. Left out: the ceiling's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Amount>,
    /// Carriers beyond headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
}

/// A limit in JSON.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// In the unit of the claim: milliseconds, bytes, or a count.
    Number(u64),
    /// With its unit, as on a command line: `5s`, `64MiB`.
    Text(String),
}

impl MintRequest {
    fn claims(self, ceiling: &Ceiling, now: u64) -> Result<Claims, MintError> {
        let Self {
            url,
            sha256,
            unpinned,
            secrets,
            bind,
            params,
            allow,
            expires,
            limits,
            via,
        } = self;
        let mut claims = Claims::new(url, now);
        claims.sha256 = match (sha256, unpinned) {
            (Some(digits), false) => Some(digest(&digits)?),
            (None, true) => None,
            _ => return Err(invalid("sha256", "give the digest, or `unpinned`: true")),
        };
        for (name, value) in secrets {
            let value = Secret::new(value.as_str().to_owned());
            let slots = Vec::new();
            claims.secrets.insert(name, SecretClaim { value, slots });
        }
        for text in bind {
            let (name, slot) = text
                .split_once('=')
                .ok_or(invalid("bind", "NAME=METHOD URL HEADER: FORMAT"))?;
            let secret = claims.secrets.get_mut(name);
            let secret = secret.ok_or(invalid("bind", "names a secret that is not given"))?;
            secret
                .slots
                .push(slot.parse().map_err(|error| refused("bind", error))?);
        }
        claims.params = params;
        for text in allow {
            claims
                .out
                .push(text.parse().map_err(|error| refused("allow", error))?);
        }
        let life = expires.unwrap_or(ceiling.life.min(DEFAULT_LIFE));
        claims.exp = now.saturating_add(life);
        for (name, amount) in limits {
            let set = match amount {
                Amount::Text(text) => claims.lim.set(&name, &text),
                Amount::Number(number) => claims
                    .lim
                    .field(&name)
                    .map(|field| *field = Some(number))
                    .ok_or(ParseError::LimitName),
            };
            set.map_err(|error| refused("limits", error))?;
        }
        for (name, most) in ceiling.lim.iter() {
            if let Some(field) = claims.lim.field(name) {
                field.get_or_insert(most);
            }
        }
        for carrier in via {
            match carrier.as_str() {
                "path" => claims.via.push(Carrier::Path),
                _ => return Err(invalid("via", "a carrier is `path`")),
            }
        }
        Ok(claims)
    }
}

impl fmt::Debug for MintRequest {
    /// Names, never values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintRequest")
            .field("secrets", &self.secrets.keys())
            .field("params", &self.params.keys())
            .field("allow", &self.allow.len())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What was minted: the body of the answer.
#[derive(Deserialize, Serialize)]
pub struct Minted {
    /// The token.
    pub token: String,
    /// Its id: its last link.
    pub id: String,
    /// The first second at which it is over.
    pub expires: u64,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted")
            .field("id", &self.id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The body of `POST /v1/revoke`, of which one field is set. Empty: the last link of the token that is presented.
#[derive(Clone, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// A token that was made from the one that is presented, or minted with it: its last link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A link id, 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// With an issuer token: every token of the tenant that was issued before, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

impl fmt::Debug for RevokeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokeRequest")
            .field("token", &self.token.is_some())
            .field("id", &self.id)
            .field("before", &self.before)
            .finish()
    }
}

/// Why no token was minted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// A caveat of the issuer token cannot be passed on.
    #[error("a caveat of the issuer token cannot be passed on: {0}")]
    Attenuate(AttenuateError),
    /// A field of the request is not understood. Says what to write, never repeats the text.
    #[error("`{field}`: {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it takes.
        expected: String,
    },
    /// The token that was presented runs its code, and mints nothing.
    #[error("the token is no issuer token")]
    NotIssuer,
    /// What was minted does not open, for a reason of the clock.
    #[error("what was minted is not valid: {0}")]
    Open(Error),
    /// The claims are not valid, or too long.
    #[error("{0}")]
    Seal(SealError),
    /// Wider than the ceiling, in all of these.
    #[error("wider than the issuer token allows: {}", .0.join("; "))]
    TooWide(Vec<String>),
}

fn invalid(field: &'static str, expected: &str) -> MintError {
    MintError::Invalid {
        field,
        expected: expected.to_owned(),
    }
}

fn refused(field: &'static str, error: ParseError) -> MintError {
    invalid(field, &error.to_string())
}

fn digest(digits: &str) -> Result<[u8; 32], MintError> {
    HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(invalid("sha256", "a digest is 64 hexadecimal digits"))
}
