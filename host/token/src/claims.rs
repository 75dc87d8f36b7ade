//! What a token says.

use std::collections::BTreeMap;
use std::fmt;

use crate::origin::after_canonical;
use crate::{
    Ceiling, DEFAULT_LIFE, DEFAULT_TENANT, Grant, Image, Limits, LinkId, SecretClaim, path,
};

/// Times end with the year 9999: a larger one is milliseconds by mistake.
pub(crate) const MAX_TIME: u64 = 253_402_300_799;
const MAX_URL_LEN: usize = 2048;
const NOTHING_TO_RUN: &str = "an issuer token has no code, and nothing for it";
const MAX_ISSUERS: usize = 32;

/// What a token says: the code, what it gets, until when. Sealed, so only holders of the key read it.
#[derive(Clone)]
pub struct Claims {
    /// What the token is for. One that issues has no code and nothing for it: of the fields below only
    /// the tenant, the times and `lim.rate`.
    pub kind: Kind,
    /// The tenant, 1 to 64 of `[A-Za-z0-9_.-]`.
    pub tenant: String,
    /// Where the component is: absolute `https`, `http` or `file`, at most 2048 bytes of ASCII.
    pub url: String,
    /// SHA-256 of the component. Without it the token is *unpinned*: whoever holds the URL holds the secrets.
    pub sha256: Option<[u8; 32]>,
    /// Secrets by name; names are 1 to 64 of `[A-Za-z0-9_.-]`.
    pub secrets: BTreeMap<String, SecretClaim>,
    /// Parameters by name, readable by the guest and not secret; names as above, values without NUL.
    pub params: BTreeMap<String, String>,
    /// Outbound requests that the guest may send. None: it may send none.
    pub out: Vec<Grant>,
    /// When the token was made, in Unix seconds. Informative.
    pub iat: u64,
    /// Not valid before, in Unix seconds.
    pub nbf: Option<u64>,
    /// Not valid at or after, in Unix seconds; later than `iat` and `nbf`.
    pub exp: u64,
    /// Links of the issuer token that this one was minted with, root first.
    pub iss: Vec<LinkId>,
    /// Limits below the runtime's own.
    pub lim: Limits,
    /// Places beyond headers in which the token may stand, each once.
    pub via: Vec<Carrier>,
}

impl Claims {
    /// Claims that run `url`, unpinned, from `now` for [`DEFAULT_LIFE`], and grant nothing.
    pub fn new(url: impl Into<String>, now: u64) -> Self {
        Self::of(DEFAULT_TENANT.to_owned(), url.into(), now)
    }

    /// Claims of a tenant, as [`new`](Self::new) makes them; opening does not write the default first.
    pub(crate) fn of(tenant: String, url: String, now: u64) -> Self {
        Self {
            kind: Kind::Run,
            tenant,
            url,
            sha256: None,
            secrets: BTreeMap::new(),
            params: BTreeMap::new(),
            out: Vec::new(),
            iat: now,
            nbf: None,
            exp: now.saturating_add(DEFAULT_LIFE),
            iss: Vec::new(),
            lim: Limits::default(),
            via: Vec::new(),
        }
    }

    /// Claims that run nothing and mint what is below the ceiling, from `now` for [`DEFAULT_LIFE`].
    pub fn issuer(ceiling: Ceiling, now: u64) -> Self {
        Self {
            kind: Kind::Issue(Box::new(ceiling)),
            ..Self::new("", now)
        }
    }

    /// The rules that types do not hold. Sealing and opening check the same ones.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let rule = |holds: bool, text: &'static str| if holds { Ok(()) } else { Err(text) };
        rule(
            is_name(&self.tenant),
            "a tenant is 1 to 64 of [A-Za-z0-9_.-]",
        )?;
        if let Kind::Issue(ceiling) = &self.kind {
            ceiling.check()?;
            let Self {
                url,
                sha256: None,
                secrets,
                params,
                out,
                iss,
                via,
                ..
            } = self
            else {
                return Err(NOTHING_TO_RUN);
            };
            let nothing = url.is_empty() && secrets.is_empty() && params.is_empty();
            let nothing = nothing && out.is_empty() && iss.is_empty() && via.is_empty();
            rule(nothing, NOTHING_TO_RUN)?;
            rule(
                self.lim.iter().all(|(name, _)| name == "rate"),
                "an issuer token has no limit but `rate`",
            )?;
        }
        rule(
            self.kind != Kind::Run || is_code_url(&self.url),
            "the URL is missing, or is not a plain absolute https, http, file or oci URL of at most 2048 bytes",
        )?;
        rule(
            self.secrets
                .keys()
                .chain(self.params.keys())
                .all(|name| is_name(name)),
            "a name is 1 to 64 of [A-Za-z0-9_.-]",
        )?;
        rule(
            !self.params.values().any(|value| value.contains('\0')),
            "a parameter holds NUL",
        )?;
        rule(
            self.out.iter().all(|grant| grant.check().is_ok()),
            "a grant is not valid",
        )?;
        rule(self.exp > self.iat, "`exp` is not after `iat`")?;
        rule(
            self.nbf.is_none_or(|nbf| self.exp > nbf),
            "`exp` is not after `nbf`",
        )?;
        rule(
            self.exp <= MAX_TIME,
            "`exp` is after the year 9999; times are in seconds",
        )?;
        rule(self.iss.len() <= MAX_ISSUERS, "more than 32 issuer links")?;
        rule(
            matches!(self.via.as_slice(), [] | [Carrier::Path]),
            "a carrier is named twice",
        )?;
        let secrets = self.secrets.values();
        let slots = || {
            secrets
                .clone()
                .flat_map(|s| s.slots.iter().map(|slot| (slot, &s.value)))
        };
        for (place, (slot, value)) in slots().enumerate() {
            rule(slot.check().is_ok(), "a slot is not valid")?;
            rule(
                slot.format.accepts(value),
                "a bound secret is empty, or cannot stand in a header",
            )?;
            rule(
                !slots().take(place).any(|(other, _)| slot.collides(other)),
                "two slots set one header of one request",
            )?;
        }
        Ok(())
    }
}

impl fmt::Debug for Claims {
    /// Names, never values; the URL without its query, which may be a signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("kind", &self.kind)
            .field("tenant", &self.tenant)
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("pinned", &self.sha256.is_some())
            .field("secrets", &self.secrets)
            .field("params", &self.params.keys())
            .field("out", &self.out)
            .field("iat", &self.iat)
            .field("nbf", &self.nbf)
            .field("exp", &self.exp)
            .field("iss", &self.iss)
            .field("lim", &self.lim)
            .field("via", &self.via)
            .finish()
    }
}

/// What a token is for.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// It never runs: it mints tokens that do, below this ceiling.
    Issue(Box<Ceiling>),
    /// It runs its code.
    Run,
}

/// A place beyond headers in which a token may stand.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Carrier {
    /// The path of a URL, for webhooks. URLs are logged by everybody on the way.
    Path,
}

/// True if `text` can be the name of a secret, a parameter or a tenant: 1 to 64 of `[A-Za-z0-9_.-]` (SPEC.md section 7).
pub fn is_name(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(byte)
}

/// A URL that every parser reads alike: what is sealed is what is fetched.
pub(crate) fn is_code_url(url: &str) -> bool {
    let byte = |b: u8| {
        let delimiter = matches!(
            b,
            b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#'
        );
        b.is_ascii_graphic() && !delimiter
    };
    if url.len() > MAX_URL_LEN || !url.bytes().all(byte) {
        return false;
    }
    if let Some(path) = url.strip_prefix("file://") {
        return path::is_plain(path) && path.len() > 1;
    }
    if url.starts_with("oci://") {
        return Image::parse(url).is_some();
    }
    let (before_query, _) = url.split_once('?').unwrap_or((url, ""));
    after_canonical(before_query).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    #[test]
    fn code_urls_are_plain() {
        for url in [
            "https://example.com/a.wasm",
            "http://127.0.0.1:8080/a?b=c/d@e",
            "https://h",
            "file:///srv/a%20b.wasm",
            "https://h/a//b",
            "oci://h.test:5000/team/task:1.0",
        ] {
            assert!(is_code_url(url), "{url}");
        }
        for url in [
            "",
            "a.wasm",
            "/a.wasm",
            "file:a",
            "file://host/a",
            "file:///",
            "file:///a/../b",
            "file:///a?b",
            "ftp://h/a",
            "data:,a",
            "https:///a",
            "https://u@h/a",
            "https://u:p@h/a",
            "https://h/a#b",
            "https://h/a b",
            "https://h\\@i/a",
            "https://*.h.i/a",
            "https://ü/a",
            "https://h:0/",
            "https://H/a",
            "https://h:443/a",
            "https://h:08443/a",
            "http://[0:0::1]/a",
            "oci://h/a",
            "oci://h:443/a:1",
            "oci+http://h/a:1",
        ] {
            assert!(!is_code_url(url), "{url}");
        }
        let long = |len: usize| format!("{:a<len$}", "https://h/");
        assert!(is_code_url(&long(2_048)) && !is_code_url(&long(2_049)));
    }

    #[test]
    fn claims_are_checked() {
        let good = || Claims::new("https://h/a.wasm", 1_000);
        assert_eq!(good().check(), Ok(()));
        let bad = |change: fn(&mut Claims)| {
            let mut claims = good();
            change(&mut claims);
            claims.check().is_err()
        };
        assert!(bad(|c| c.tenant.clear()));
        assert!(bad(|c| c.url.clear()));
        assert!(bad(|c| c.exp = c.iat));
        assert!(bad(|c| c.nbf = Some(c.exp)));
        assert!(bad(|c| c.exp = MAX_TIME + 1));
        assert!(bad(|c| c.iss = vec![LinkId::from([0; 16]); MAX_ISSUERS + 1]));
        assert!(bad(|c| c.via = vec![Carrier::Path, Carrier::Path]));
        assert!(bad(|c| drop(
            c.params.insert("a b".to_owned(), String::new())
        )));
        assert!(bad(|c| drop(
            c.params.insert("a".to_owned(), "\0".to_owned())
        )));
        let secret = |value: &str, slots: &[&str]| SecretClaim {
            value: Secret::new(value.to_owned()),
            slots: slots.iter().filter_map(|slot| slot.parse().ok()).collect(),
        };
        for (secrets, valid) in [
            (vec![secret("", &[])], true),
            (vec![secret("", &["GET https://h/ a: {}"])], false),
            (
                vec![secret(
                    "v",
                    &["GET https://h/ a: {}", "GET https://h/ b: {}"],
                )],
                true,
            ),
            (
                vec![
                    secret("v", &["GET https://h/ a: {}"]),
                    secret("w", &["GET https://h/* a: {}"]),
                ],
                false,
            ),
        ] {
            let mut claims = good();
            claims.secrets = secrets
                .into_iter()
                .enumerate()
                .map(|(i, secret)| (format!("s{i}"), secret))
                .collect();
            assert_eq!(claims.check().is_ok(), valid);
        }
    }
}
