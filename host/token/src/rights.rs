//! Effective rights: what the claims give, less what the caveats take. Computed here and nowhere else.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Caveat, Claims, Grant, Limits, LinkId, Opened, path};

impl Opened {
    /// What the token allows in effect. Caveats only ever take away: each list of grants is one more
    /// that must allow a request, each limit can only fall, each set of names can only lose some.
    pub fn rights(&self) -> Rights {
        let (nbf, exp) = times(&self.claims, &self.caveats);
        let mut rights = Rights {
            tenant: self.claims.tenant.clone(),
            params: self.claims.params.clone(),
            out: vec![self.claims.out.clone()],
            lim: self.claims.lim,
            rates: Vec::new(),
            exp,
            nbf,
            id: self.id,
            links: self.links.clone(),
            iss: self.claims.iss.clone(),
            methods: None,
            paths: Vec::new(),
            origins: None,
        };
        let limits = [&self.claims.lim]
            .into_iter()
            .chain(self.caveats.iter().map(|caveat| &caveat.lim));
        for (link, lim) in self.links.iter().zip(limits) {
            rights.rates.extend(lim.rate.map(|rate| (*link, rate)));
        }
        for caveat in &self.caveats {
            rights.narrow(caveat);
        }
        rights.lim.rate = None;
        rights
    }
}

/// Not before, if anything says so, and the end: the latest beginning and the earliest end.
pub(crate) fn times(claims: &Claims, caveats: &[Caveat]) -> (Option<u64>, u64) {
    let nbf = caveats.iter().fold(claims.nbf, |nbf, c| nbf.max(c.nbf));
    let ends = caveats.iter().filter_map(|caveat| caveat.exp);
    (nbf, ends.fold(claims.exp, u64::min))
}

/// What a token allows in effect: claims less caveats. See [`Opened::rights`].
#[derive(Clone)]
pub struct Rights {
    /// The tenant.
    pub tenant: String,
    /// Parameters of the claims and of all caveats.
    pub params: BTreeMap<String, String>,
    /// Lists of outbound grants: a request needs one grant of *each* list.
    pub out: Vec<Vec<Grant>>,
    /// The lowest limits; `rate` is not here but in [`rates`](Self::rates).
    pub lim: Limits,
    /// Invocations in a minute, by the link that they are counted at: all tokens below it share them.
    pub rates: Vec<(LinkId, u64)>,
    /// The first second at which the token is over.
    pub exp: u64,
    /// The first second at which it is valid.
    pub nbf: Option<u64>,
    /// This token: its last link.
    pub id: LinkId,
    /// All links, root first; a revoked one revokes the token.
    pub links: Vec<LinkId>,
    /// Links of the token that this one was minted with; a revoked one revokes this token.
    pub iss: Vec<LinkId>,
    methods: Option<Vec<String>>,
    paths: Vec<String>,
    origins: Option<Vec<String>>,
}

impl Rights {
    /// Takes away what a caveat takes away. There is no way to add a right here.
    fn narrow(&mut self, caveat: &Caveat) {
        let Caveat {
            exp: _, // in `times`
            nbf: _,
            methods,
            path,
            origins,
            params,
            lim,
            out,
            note: _, // takes nothing away
        } = caveat;
        keep(&mut self.methods, methods.as_deref());
        self.paths.extend(path.clone());
        keep(&mut self.origins, origins.as_deref());
        for (name, value) in params {
            // `open` has refused another value for a name; were it not so, the first would stand.
            self.params
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        self.lim = self.lim.lowered(lim);
        self.out.extend(out.clone());
    }

    /// True if the guest may send this request. Arguments as for [`Grant::allows`].
    pub fn allows_outbound(
        &self,
        method: &str,
        scheme: &str,
        host: &str,
        port: u16,
        path: &str,
    ) -> bool {
        let allows = |grant: &Grant| grant.allows(method, scheme, host, port, path);
        self.out.iter().all(|list| list.iter().any(allows))
    }

    /// Checks an inbound request; `path` is what the guest sees, without its query.
    ///
    /// # Errors
    /// What a caveat does not allow.
    pub fn allows_request(&self, method: &str, path: &str) -> Result<(), Denied> {
        let among = |methods: &Vec<String>| methods.iter().any(|allowed| allowed == method);
        if !self.methods.as_ref().is_none_or(among) {
            Err(Denied::Method)
        } else if !self
            .paths
            .iter()
            .all(|pattern| path::matches(pattern, path))
        {
            Err(Denied::Path)
        } else {
            Ok(())
        }
    }

    /// True if the request may come from here: `origin` is the header `Origin`, byte for byte. A token that
    /// is only for some origins is not for callers that name none.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        self.origins.as_ref().is_none_or(|allowed| {
            origin.is_some_and(|origin| allowed.iter().any(|one| one == origin))
        })
    }

    /// The browser origins that may call, sorted; `None` if any may.
    pub fn origins(&self) -> Option<&[String]> {
        self.origins.as_deref()
    }

    /// The methods that the inbound request may have, sorted; `None` if any.
    pub fn methods(&self) -> Option<&[String]> {
        self.methods.as_deref()
    }

    /// The patterns that the inbound path must all match.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }
}

/// Keeps what both lists hold; no list holds everything.
fn keep(list: &mut Option<Vec<String>>, other: Option<&[String]>) {
    match (list.as_mut(), other) {
        (Some(list), Some(other)) => list.retain(|item| other.contains(item)),
        (None, Some(other)) => *list = Some(other.to_vec()),
        (_, None) => {}
    }
}

impl fmt::Debug for Rights {
    /// Names of parameters, never values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rights")
            .field("tenant", &self.tenant)
            .field("params", &self.params.keys())
            .field("out", &self.out)
            .field("lim", &self.lim)
            .field("rates", &self.rates)
            .field("exp", &self.exp)
            .field("nbf", &self.nbf)
            .field("id", &self.id)
            .field("links", &self.links)
            .field("iss", &self.iss)
            .field("methods", &self.methods)
            .field("paths", &self.paths)
            .field("origins", &self.origins)
            .finish()
    }
}

/// What of an inbound request a caveat does not allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The method.
    #[error("the token is not for this method")]
    Method,
    /// The path.
    #[error("the token is not for this path")]
    Path,
}
