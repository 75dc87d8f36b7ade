//! Ceilings: what the holder of an issuer token may mint, and nothing wider.

use crate::claims::{MAX_TIME, is_code_url, is_name};
use crate::{Carrier, Claims, Grant, Kind, Limits, Origin, path};

/// What an issuer token may mint: run tokens of its own tenant, each of whose claims stays below this.
///
/// What is empty allows nothing, what is `false` is not allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ceiling {
    /// Where the code may come from: URLs, at least one; a `*` at the end makes a prefix of the path,
    /// as in `https://code.example.com/tasks/*`.
    pub urls: Vec<String>,
    /// Each outbound grant must lie within one of these.
    pub out: Vec<Grant>,
    /// A limit here must be kept: a minted token has it, at most as high.
    pub lim: Limits,
    /// The longest life from the minting on, in seconds.
    pub life: u64,
    /// Names of the parameters that may be given, or `*` alone for any.
    pub params: Vec<String>,
    /// Names of the secrets that may be given, or `*` alone for any. The values are the minter's own.
    pub secrets: Vec<String>,
    /// Carriers beyond headers that may be asked for.
    pub via: Vec<Carrier>,
    /// Code without a digest may be asked for.
    pub unpinned: bool,
}

impl Ceiling {
    /// A ceiling that allows pinned code of these URLs for this long, and nothing else.
    pub fn new(urls: Vec<String>, life: u64) -> Self {
        Self {
            urls,
            out: Vec::new(),
            lim: Limits::default(),
            life,
            params: Vec::new(),
            secrets: Vec::new(),
            via: Vec::new(),
            unpinned: false,
        }
    }

    /// Everything in which claims are wider than this ceiling, in words: the claim first. Empty: they fit.
    ///
    /// The tenant, `iat` and `iss` are not looked at: [`Opened::mint`](crate::Opened::mint) sets them.
    pub fn too_wide(&self, claims: &Claims, now: u64) -> Vec<String> {
        // By name, so that a claim of tomorrow does not compile before it has a line here.
        let Claims {
            kind,
            tenant: _,
            url,
            sha256,
            secrets,
            params,
            out,
            iat: _,
            nbf: _, // later is narrower, and `exp` stays where it is
            exp,
            iss: _,
            lim,
            via,
        } = claims;
        let mut wide = Vec::new();
        if *kind != Kind::Run {
            wide.push(
                "kind: an issuer token mints tokens that run, and no issuer tokens".to_owned(),
            );
        }
        if !self.urls.iter().any(|pattern| covers(pattern, url)) {
            wide.push(format!("url: is none of {}", self.urls.join(", ")));
        }
        if sha256.is_none() && !self.unpinned {
            wide.push("sha256: is required".to_owned());
        }
        for (claim, names, allowed) in [
            ("secrets", secrets.keys().collect::<Vec<_>>(), &self.secrets),
            ("params", params.keys().collect(), &self.params),
        ] {
            let fits = |name: &str| allowed.iter().any(|one| one == name || one == "*");
            let others = names.into_iter().filter(|name| !fits(name));
            wide.extend(others.map(|name| {
                format!(
                    "{claim}: {} is not allowed{}",
                    name.escape_debug(),
                    list(allowed)
                )
            }));
        }
        for grant in out {
            if !self.out.iter().any(|ceiling| grant.within(ceiling)) {
                wide.push(format!("out: {grant} is not allowed{}", list(&self.out)));
            }
        }
        if *exp > now.saturating_add(self.life) {
            let life = exp.saturating_sub(now);
            wide.push(format!("exp: is in {life} seconds, at most {}", self.life));
        }
        for (name, most) in self.lim.iter() {
            match lim.iter().find(|(other, _)| *other == name) {
                Some((_, limit)) if limit <= most => {}
                Some((_, limit)) => wide.push(format!("lim: {name} is {limit}, at most {most}")),
                None => wide.push(format!("lim: {name} is missing, at most {most}")),
            }
        }
        for Carrier::Path in via.iter().filter(|carrier| !self.via.contains(carrier)) {
            wide.push("via: path is not allowed".to_owned());
        }
        wide
    }

    /// The rules that types do not hold.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let rule = |holds: bool, text: &'static str| if holds { Ok(()) } else { Err(text) };
        rule(
            !self.urls.is_empty() && self.urls.iter().all(|url| is_url_pattern(url)),
            "a ceiling's URLs are not one or more plain absolute ones, each maybe with a * at the end of its path",
        )?;
        rule(
            self.out.iter().all(|grant| grant.check().is_ok()),
            "a grant is not valid",
        )?;
        rule(
            (1..=MAX_TIME).contains(&self.life),
            "a ceiling's life is not 1 second or more",
        )?;
        let names = |names: &[String]| {
            matches!(names, [any] if any == "*") || names.iter().all(|name| is_name(name))
        };
        rule(
            names(&self.params) && names(&self.secrets),
            "a ceiling's names are not 1 to 64 of [A-Za-z0-9_.-] each, or * alone",
        )?;
        rule(
            matches!(self.via.as_slice(), [] | [Carrier::Path]),
            "a carrier is named twice",
        )
    }
}

/// `, only A, B`, or nothing if nothing is allowed.
fn list(allowed: &[impl ToString]) -> String {
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    if allowed.is_empty() {
        String::new()
    } else {
        format!(", only {}", allowed.join(", "))
    }
}

/// Where code is.
#[derive(PartialEq)]
enum Place {
    File,
    Http(Origin),
    /// A registry, as the origin of an `https` URL.
    Oci(Origin),
}

/// A URL's place, and what stands after it.
fn split(url: &str) -> Option<(Place, &str)> {
    if let Some(path) = url.strip_prefix("file://") {
        return Some((Place::File, path));
    }
    let named = |url: &str| {
        let (origin, path) = Origin::split(url).ok()?;
        (!origin.is_wildcard()).then_some((origin, path.len()))
    };
    let (place, path) = match url.strip_prefix("oci://") {
        Some(rest) => {
            let (origin, path) = named(&format!("https://{rest}"))?;
            (Place::Oci(origin), path)
        }
        None => {
            let (origin, path) = named(url)?;
            (Place::Http(origin), path)
        }
    };
    Some((place, url.get(url.len() - path..)?))
}

/// A code URL that is one file, or one whose plain path ends in `*`.
fn is_url_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(base) => {
            split(base).is_some_and(|(_, path)| path::is_plain(path) && !path.contains('*'))
        }
        None => is_code_url(pattern) && !pattern.contains('*'),
    }
}

/// True if the pattern stands for the URL. Before a `*` the URL's path must be plain: `/tasks/../x` is
/// below `/tasks/` for nobody who fetches it.
fn covers(pattern: &str, url: &str) -> bool {
    let Some(base) = pattern.strip_suffix('*') else {
        return pattern == url;
    };
    let (Some((granted, prefix)), Some((origin, rest))) = (split(base), split(url)) else {
        return false;
    };
    let path = rest.split('?').next().unwrap_or_default();
    granted == origin && path::is_plain(path) && path.starts_with(prefix)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::{LinkId, Secret, SecretClaim};

    #[test]
    fn urls_are_covered_by_origin_and_plain_path() {
        let tasks = "https://code.example.com/tasks/*";
        for (pattern, url, expected) in [
            (tasks, "https://code.example.com/tasks/a.wasm", true),
            (
                tasks,
                "https://code.example.com/tasks/a/b.wasm?v=1/../x",
                true,
            ),
            (tasks, "https://code.example.com:443/tasks/a.wasm", true),
            (tasks, "https://code.example.com/tasks", false),
            (tasks, "https://code.example.com/task", false),
            (tasks, "https://code.example.com/tasks/../a.wasm", false),
            (tasks, "https://code.example.com/tasks/%2e%2e/a.wasm", false),
            (tasks, "https://code.example.com/tasks//a.wasm", false),
            (tasks, "https://code.example.com?/tasks/a.wasm", false),
            (
                tasks,
                "https://code.example.com.evil.test/tasks/a.wasm",
                false,
            ),
            (tasks, "http://code.example.com/tasks/a.wasm", false),
            (tasks, "https://code.example.com:8443/tasks/a.wasm", false),
            (tasks, "file:///tasks/a.wasm", false),
            ("https://h/*", "https://h", false),
            ("https://h/*", "https://h/", true),
            ("https://h/a.wasm", "https://h/a.wasm", true),
            ("https://h/a.wasm", "https://h/a.wasm?x", false),
            ("https://h/a.wasm", "https://h/a.wasm2", false),
            ("file:///srv/*", "file:///srv/a.wasm", true),
            ("file:///srv/*", "file:///srv/../a.wasm", false),
            ("file:///srv/*", "https://srv/a.wasm", false),
            ("oci://h/team/*", "oci://h/team/task:1", true),
            ("oci://h/team/*", "oci://h:443/team/task:1", true),
            ("oci://h/team/*", "oci://h:5000/team/task:1", false),
            ("oci://h/team/*", "oci://i/team/task:1", false),
            ("oci://h/team/*", "oci://h/teams/task:1", false),
            ("oci://h/team/*", "https://h/team/task:1", false),
            ("https://h/team/*", "oci://h/team/task:1", false),
            ("oci://h/team/task:1", "oci://h/team/task:1", true),
            ("oci://h/team/task:1", "oci://h/team/task:10", false),
        ] {
            assert!(is_url_pattern(pattern), "{pattern}");
            assert_eq!(covers(pattern, url), expected, "{pattern} {url}");
        }
        for pattern in [
            "",
            "*",
            "https://*",
            "https://h*",
            "https://*.example.com/*",
            "https://h/../*",
            "https://h/a*b",
            "https://h/*?*",
            "https://h/**",
            "https://h/a//*",
            "ftp://h/*",
            "file:///",
            "file://h/*",
            "oci://*",
            "oci://h*",
            "oci://h/team",
            "oci://*.h.test/*",
            "h/*",
        ] {
            assert!(!is_url_pattern(pattern), "{pattern}");
        }
    }

    fn ceiling() -> Ceiling {
        let mut ceiling = Ceiling::new(vec!["https://h.test/t/*".to_owned()], 600);
        ceiling.out = vec!["GET,POST https://*.example.com/v1/*".parse().unwrap()];
        ceiling.lim.set("memory", "64MiB").unwrap();
        ceiling.params = vec!["user".to_owned()];
        ceiling.secrets = vec!["key".to_owned()];
        ceiling
    }

    fn fits() -> Claims {
        let mut claims = Claims::new("https://h.test/t/a.wasm", 1_000);
        claims.sha256 = Some([1; 32]);
        claims.exp = 1_600;
        claims.lim.memory = Some(64 << 20);
        claims.params.insert("user".to_owned(), String::new());
        claims.secrets.insert("key".to_owned(), secret());
        claims
            .out
            .push("GET https://api.example.com/v1/a".parse().unwrap());
        claims
    }

    fn secret() -> SecretClaim {
        SecretClaim {
            value: Secret::new("v".to_owned()),
            slots: Vec::new(),
        }
    }

    /// Issue 3: no claim can be minted beyond the ceiling. The fields come from the type: a new one is an
    /// error here until it has a case.
    #[test]
    fn every_claim_has_a_ceiling() {
        assert_eq!(ceiling().too_wide(&fits(), 1_000), Vec::<String>::new());
        let Claims {
            kind: _,
            tenant: _,
            url: _,
            sha256: _,
            secrets: _,
            params: _,
            out: _,
            iat: _,
            nbf: _,
            exp: _,
            iss: _,
            lim: _,
            via: _,
        } = fits();
        type Change = fn(&mut Claims);
        let wider: [(&str, Change); 15] = [
            ("kind", |c| c.kind = Kind::Issue(Box::new(ceiling()))),
            ("url", |c| c.url = "https://h.test/u/a.wasm".to_owned()),
            ("sha256", |c| c.sha256 = None),
            ("secrets", |c| {
                drop(c.secrets.insert("other".to_owned(), secret()))
            }),
            ("params", |c| {
                drop(c.params.insert("admin".to_owned(), String::new()))
            }),
            ("out", |c| {
                c.out
                    .push("PUT https://api.example.com/v1/a".parse().unwrap())
            }),
            ("out", |c| {
                c.out
                    .push("* https://api.example.com/v1/a".parse().unwrap())
            }),
            ("out", |c| {
                c.out.push("GET https://api.example.com/*".parse().unwrap())
            }),
            ("out", |c| {
                c.out.push("GET https://example.com/v1/a".parse().unwrap())
            }),
            ("out", |c| {
                c.out
                    .push("GET http://api.example.com/v1/a".parse().unwrap())
            }),
            ("exp", |c| c.exp = 1_601),
            ("exp", |c| c.exp = u64::MAX),
            ("lim", |c| c.lim.memory = Some((64 << 20) + 1)),
            ("lim", |c| c.lim.memory = None),
            ("via", |c| c.via.push(Carrier::Path)),
        ];
        let mut all = fits();
        for (claim, change) in wider {
            let mut claims = fits();
            change(&mut claims);
            let wide = ceiling().too_wide(&claims, 1_000);
            let [only] = wide.as_slice() else {
                unreachable!("{claim}: {wide:?}")
            };
            assert!(only.starts_with(&format!("{claim}: ")), "{only}");
            change(&mut all);
        }
        // Each of them is told, not only the first; the two of `lim` are one, and the two of `exp`.
        assert_eq!(ceiling().too_wide(&all, 1_000).len(), 13);
        // What minting sets itself, and what is narrower.
        let narrower: [Change; 4] = [
            |c| c.tenant = "other".to_owned(),
            |c| c.iat = 0,
            |c| c.nbf = Some(1_500),
            |c| c.iss = vec![LinkId::from([1; 16])],
        ];
        for change in narrower {
            let mut claims = fits();
            change(&mut claims);
            assert!(ceiling().too_wide(&claims, 1_000).is_empty());
        }
    }

    #[test]
    fn stars_allow_any_name() {
        let mut ceiling = ceiling();
        (ceiling.params, ceiling.secrets) = (vec!["*".to_owned()], vec!["*".to_owned()]);
        (ceiling.unpinned, ceiling.via) = (true, vec![Carrier::Path]);
        let mut claims = fits();
        claims.params.insert("any".to_owned(), String::new());
        claims.secrets.insert("any".to_owned(), secret());
        claims.via.push(Carrier::Path);
        claims.sha256 = None;
        assert!(ceiling.too_wide(&claims, 1_000).is_empty());
        for wrong in [vec!["*".to_owned(), "a".to_owned()], vec![String::new()]] {
            ceiling.params = wrong;
            assert!(ceiling.check().is_err());
        }
    }
}
