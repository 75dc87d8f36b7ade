//! Mirrors: where the platform has code of an origin fetched from in the place of it.
//!
//! A mirror is the operator's. What a token may name is asked of the URL that it names, before any mirror is;
//! the digest is that of the token, whoever served the bytes.

use std::str::FromStr;

use url::Url;

use super::{
    Worker,
    source::{CodePrefix, From, Prefix, Source},
};

/// A prefix of code URLs, and the one that they are fetched from in its place.
#[derive(Clone, Debug)]
pub struct CodeMirror {
    from: Prefix,
    to: Prefix,
    only: bool,
}

/// Why a text is not a mirror.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error(
    "{0:?} is no mirror: write FROM=TO or 'FROM=TO only', two URL prefixes that end in /, both of http:// or https://, or FROM of oci:// and TO of oci:// or oci+http://"
)]
pub struct CodeMirrorError(String);

impl FromStr for CodeMirror {
    type Err = CodeMirrorError;

    /// `https://code.example.com/=https://mirror.internal/code/`: the mirror first, then the origin itself;
    /// with ` only` at its end never the origin.
    fn from_str(text: &str) -> Result<Self, CodeMirrorError> {
        let error = || CodeMirrorError(text.to_owned());
        let (pair, only) = match text.strip_suffix(" only") {
            Some(pair) => (pair, true),
            None => (text, false),
        };
        let (from, to) = pair.split_once('=').ok_or_else(error)?;
        let prefix = |text: &str| {
            let whole = text.contains("://") && text.ends_with('/');
            let prefix = whole.then(|| text.parse::<CodePrefix>().ok()).flatten();
            prefix.map(|prefix| prefix.0).ok_or_else(error)
        };
        let (from, to) = (prefix(from)?, prefix(to)?);
        match (&from, &to) {
            (Prefix::Url(_), Prefix::Url(to)) if to.query().is_none() => {}
            (Prefix::Oci(_), Prefix::Oci(_)) => {}
            _ => return Err(error()),
        }
        Ok(Self { from, to, only })
    }
}

impl CodeMirror {
    /// The same code at the mirror, if it has that code at all.
    fn of(&self, url: &Url, from: &From) -> Option<(Url, From)> {
        self.from.permits(url)?;
        match (&self.from, &self.to, from) {
            (Prefix::Url(from), Prefix::Url(to), From::Http(_)) => {
                let url = moved(url, from, to)?;
                let permitted = self.to.permits(&url)?;
                Some((url, permitted))
            }
            (Prefix::Oci(from), Prefix::Oci(to), From::Oci(place)) => {
                let place = place.moved(from, to)?;
                Some((place.url()?, From::Oci(place)))
            }
            _ => None,
        }
    }
}

fn moved(url: &Url, from: &Url, to: &Url) -> Option<Url> {
    let rest = url.path().strip_prefix(from.path())?;
    let mut moved = to.clone();
    moved.set_path(&format!("{}{rest}", to.path()));
    moved.set_query(url.query());
    Some(moved)
}

impl Worker {
    /// Where the code of `source` is fetched from, in this order.
    pub(super) fn places(&self, source: &Source) -> Vec<Source> {
        let mut places = Vec::new();
        for mirror in &self.origins.mirrors {
            let Some((url, from)) = mirror.of(&source.url, &source.from) else {
                continue;
            };
            places.push(Source {
                url,
                from,
                by: source.by.clone(),
                mirror: Some(mirror.to.clone()),
            });
            if mirror.only {
                return places;
            }
        }
        places.push(source.clone());
        places
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;
    use crate::egress::Ranges;

    #[test]
    fn a_mirror_has_what_is_below_its_prefix_at_the_same_place() {
        let mirror: CodeMirror = "https://code.test/a/=http://10.0.0.1:81/m/"
            .parse()
            .unwrap();
        for (url, expected) in [
            (
                "https://code.test/a/b/c.wasm?x=1",
                Some("http://10.0.0.1:81/m/b/c.wasm?x=1"),
            ),
            ("https://code.test/a/", Some("http://10.0.0.1:81/m/")),
            ("https://code.test/ab/c.wasm", None),
            ("https://code.test/a/%2e%2e/c.wasm", None),
            ("https://code.test/a/..%2fc.wasm", None),
            ("https://code.test:81/a/c.wasm", None),
            ("http://code.test/a/c.wasm", None),
        ] {
            let at = Url::parse(url).unwrap();
            let found = mirror.of(&at, &From::Http(Ranges::Public));
            let found = found.map(|(url, _)| String::from(url));
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_mirror_is_two_prefixes_of_one_kind() {
        for good in [
            "https://a.test/=http://127.0.0.1:8000/x/",
            "https://a.test/x/=https://b.test/ only",
            "oci://a.test/=oci+http://127.0.0.1:5000/a/",
        ] {
            assert!(good.parse::<CodeMirror>().is_ok(), "{good}");
        }
        for bad in [
            "https://a.test/",
            "https://a.test/=",
            "https://a.test=https://b.test/",
            "https://a.test/=https://b.test/x",
            "https://a.test/=oci://b.test/",
            "oci://a.test/=https://b.test/",
            "https://=https://b.test/",
            "https://a.test/=/srv/",
            "https://a.test/=https://b.test/?x/",
            "https://a.test/=https://b.test/ never",
        ] {
            assert!(bad.parse::<CodeMirror>().is_err(), "{bad}");
        }
    }
}
