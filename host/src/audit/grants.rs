//! What a token grants: claims less caveats.
//!
//! Holds names, never a value. The platform's own ceiling is not in it: see `policy`.

use std::collections::BTreeMap;

use webtask_token::{Ceiling, Claims, Grant, Kind, Limits, LinkId, Opened, Slot};

use super::words::request_of;

/// The most rules that the outbound grants of claims and caveats may combine to.
const RULES: usize = 500;

/// Why the grants of a token cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantsError {
    /// Lists of outbound grants that combine to a list too long to read.
    #[error("the outbound grants of its claims and caveats combine to more than {RULES} rules")]
    TooMany,
}

/// What a token grants. See [`Grants::of`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Grants {
    /// The token; `None` for claims that are not sealed yet.
    pub id: Option<LinkId>,
    /// True if it runs nothing and mints tokens that grant at most this.
    pub issuer: bool,
    /// The tenant.
    pub tenant: String,
    /// Where the code is, without queries, which may hold signatures; patterns for an issuer.
    pub code: Vec<String>,
    /// The code's digest.
    pub sha256: Option<[u8; 32]>,
    /// True if it may run other code tomorrow.
    pub unpinned: bool,
    /// The first second at which it is valid.
    pub from: u64,
    /// The first second at which it is over.
    pub until: u64,
    /// The outbound requests that claims and all caveats allow.
    pub out: Vec<Grant>,
    /// Secrets by name; without a slot the code can read it. The name `*` is any, of an issuer.
    pub secrets: BTreeMap<String, Vec<Slot>>,
    /// Names of parameters.
    pub params: Vec<String>,
    /// Limits below the runtime's own; `rate` is the lowest of claims and caveats.
    pub limits: Limits,
    /// Methods of the inbound request; `None` for any.
    pub methods: Option<Vec<String>>,
    /// Patterns that the inbound path must all match.
    pub paths: Vec<String>,
    /// Browser origins that may call; `None` for any.
    pub origins: Option<Vec<String>>,
    /// True if the token may stand in a URL.
    pub in_url: bool,
    /// What holders noted in caveats.
    pub notes: Vec<String>,
}

impl Grants {
    /// What an authentic token grants.
    ///
    /// # Errors
    /// See [`GrantsError`].
    pub fn of(opened: &Opened) -> Result<Self, GrantsError> {
        let rights = opened.rights();
        let mut grants = Self::of_claims(&opened.claims);
        grants.id = Some(opened.id);
        (grants.from, grants.until) = (rights.nbf.unwrap_or(opened.claims.iat), rights.exp);
        if !grants.issuer {
            grants.out = combine(&rights.out)?;
            grants.params = rights.params.keys().cloned().collect();
            grants.limits = rights.lim;
        }
        grants.limits.rate = rights.rates.iter().map(|(_, rate)| *rate).min();
        grants.methods = rights.methods().map(<[_]>::to_vec);
        grants.paths = rights.paths().to_vec();
        grants.origins = rights.origins().map(<[_]>::to_vec);
        grants.notes = opened
            .caveats
            .iter()
            .filter_map(|caveat| caveat.note.clone())
            .collect();
        Ok(grants)
    }

    /// What claims grant before anybody narrows them.
    #[must_use]
    pub fn of_claims(claims: &Claims) -> Self {
        let mut grants = Self {
            id: None,
            issuer: false,
            tenant: claims.tenant.clone(),
            code: vec![without_query(&claims.url)],
            sha256: claims.sha256,
            unpinned: claims.sha256.is_none(),
            from: claims.nbf.unwrap_or(claims.iat),
            until: claims.exp,
            out: claims.out.clone(),
            secrets: claims
                .secrets
                .iter()
                .map(|(name, secret)| (name.clone(), secret.slots.clone()))
                .collect(),
            params: claims.params.keys().cloned().collect(),
            limits: claims.lim,
            methods: None,
            paths: Vec::new(),
            origins: None,
            in_url: !claims.via.is_empty(),
            notes: Vec::new(),
        };
        if let Kind::Issue(ceiling) = &claims.kind {
            grants.mints(ceiling);
        }
        grants
    }

    fn mints(&mut self, ceiling: &Ceiling) {
        self.issuer = true;
        self.code.clone_from(&ceiling.urls);
        self.unpinned = ceiling.unpinned;
        self.out.clone_from(&ceiling.out);
        let names = ceiling.secrets.iter();
        self.secrets = names.map(|name| (name.clone(), Vec::new())).collect();
        self.params.clone_from(&ceiling.params);
        self.limits = ceiling.lim;
        self.in_url = !ceiling.via.is_empty();
    }

    /// The secrets that the code can read.
    pub fn readable(&self) -> impl Iterator<Item = &str> {
        let readable = self.secrets.iter().filter(|(_, slots)| slots.is_empty());
        readable.map(|(name, _)| name.as_str())
    }

    /// Each slot of a bound secret, with the requests of it that are granted as well.
    pub(super) fn slots(&self) -> impl Iterator<Item = (&str, &Slot, Vec<Grant>)> {
        let all = self.secrets.iter();
        let all = all.flat_map(|(name, slots)| slots.iter().map(move |slot| (name.as_str(), slot)));
        all.map(|(name, slot)| {
            let request = request_of(slot);
            let granted = self
                .out
                .iter()
                .filter_map(|grant| grant.intersection(&request));
            (name, slot, granted.collect())
        })
    }
}

/// One list that allows what each of the lists allows.
fn combine(lists: &[Vec<Grant>]) -> Result<Vec<Grant>, GrantsError> {
    let mut lists = lists.iter();
    let mut all: Vec<Grant> = lists.next().cloned().unwrap_or_default();
    for list in lists {
        let mut both: Vec<Grant> = Vec::new();
        for grant in all
            .iter()
            .flat_map(|a| list.iter().filter_map(|b| a.intersection(b)))
        {
            if both.iter().any(|known| grant.within(known)) {
                continue;
            }
            both.retain(|known| !known.within(&grant));
            both.push(grant);
            if both.len() > RULES {
                return Err(GrantsError::TooMany);
            }
        }
        all = both;
    }
    Ok(all)
}

fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((plain, _)) => format!("{plain}?..."),
        None => url.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn grants(lists: &[&[&str]]) -> Result<Vec<String>, GrantsError> {
        let list = |list: &&[&str]| list.iter().map(|grant| grant.parse().unwrap()).collect();
        let lists: Vec<Vec<Grant>> = lists.iter().map(list).collect();
        Ok(combine(&lists)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lists_of_grants_combine_to_what_all_allow() {
        let combined = grants(&[
            &["GET,POST https://a.h.test/*", "GET https://b.h.test/*"],
            &[
                "POST https://a.h.test/v1/*",
                "* https://a.h.test/v1/a",
                "PUT https://b.h.test/",
            ],
            &["* https://*.h.test/*", "* https://a.h.test/v1/*"],
        ]);
        assert_eq!(
            combined.unwrap(),
            [
                "POST https://a.h.test/v1/*",
                "GET,POST https://a.h.test/v1/a"
            ]
        );
        assert!(
            grants(&[&["GET https://a.h.test/"], &[]])
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn lists_that_combine_to_too_many_rules_are_refused() {
        let list = |method: &str| -> Vec<Grant> {
            (0..30)
                .map(|n| format!("{method} https://h.test/{n:02}*").parse().unwrap())
                .collect()
        };
        let methods = |n: u32| -> String {
            let named: Vec<_> = (0..12)
                .filter(|m| m != &n)
                .map(|m| format!("M{m}"))
                .collect();
            named.join(",")
        };
        // Each list can lose any one of twelve methods on any of thirty paths.
        let lists: Vec<Vec<Grant>> = (0..6)
            .map(|k| [list(&methods(k)), list(&methods(k + 6))].concat())
            .collect();
        assert!(matches!(combine(&lists), Err(GrantsError::TooMany)));
    }
}
