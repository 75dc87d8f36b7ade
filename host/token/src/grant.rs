//! Outbound grants: which requests a guest may send.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

use crate::{Origin, ParseError, path};

/// Requests that a guest may send: methods, one origin, a path.
///
/// Its text is `GET,POST https://api.example.com/v1/*`: methods in upper case, or `*` for any; a path
/// that ends in `*` is a prefix, every other path is exact, and no path at all means `/*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Upper-case methods, at least one; or `*` alone.
    pub methods: Vec<SmolStr>,
    /// Where the request goes.
    pub origin: Origin,
    /// A path, a prefix if it ends in `*`. Queries are not looked at.
    pub path: SmolStr,
}

impl Grant {
    /// True if the grant allows this request.
    ///
    /// `host` is canonical (see [`Origin::host`]), `path` is normalised and without its query. A path that
    /// servers read in different ways (`//`, `/../`, `/..;/`, `%2F`, `%25`, `\` …) is allowed by no grant.
    pub fn allows(&self, method: &str, scheme: &str, host: &str, port: u16, path: &str) -> bool {
        let named = |granted: &SmolStr| granted == method || granted == "*";
        is_method(method)
            && self.methods.iter().any(named)
            && self.origin.matches(scheme, host, port)
            && path::matches(&self.path, path)
    }

    /// True if every request that this grant allows is allowed by `other`.
    pub fn within(&self, other: &Self) -> bool {
        let named = |method: &SmolStr| other.methods.iter().any(|m| m == method || m == "*");
        self.methods.iter().all(named)
            && self.origin.within(&other.origin)
            && path::within(&self.path, &other.path)
    }

    /// The grant that allows what both allow; `None` if that is nothing.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let any = |grant: &Self| matches!(grant.methods.as_slice(), [only] if only == "*");
        let methods = match (any(self), any(other)) {
            (true, _) => other.methods.clone(),
            (_, true) => self.methods.clone(),
            _ => {
                let both = |method: &&SmolStr| other.methods.contains(method);
                self.methods.iter().filter(both).cloned().collect()
            }
        };
        // Of two origins, and of two paths, that have something in common one lies within the other.
        let origin = [(self, other), (other, self)]
            .into_iter()
            .find(|(a, b)| a.origin.within(&b.origin));
        let path = [(self, other), (other, self)]
            .into_iter()
            .find(|(a, b)| path::within(&a.path, &b.path));
        (!methods.is_empty()).then_some(())?;
        Some(Self {
            methods,
            origin: origin?.0.origin.clone(),
            path: path?.0.path.clone(),
        })
    }

    /// Checks what the types leave open.
    pub(crate) fn check(&self) -> Result<(), ParseError> {
        let any = matches!(self.methods.as_slice(), [only] if only == "*");
        if self.methods.is_empty() || !any && !self.methods.iter().all(|method| is_method(method)) {
            return Err(ParseError::Method);
        }
        if path::is_pattern(&self.path) {
            Ok(())
        } else {
            Err(ParseError::Path)
        }
    }
}

impl FromStr for Grant {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (methods, url) = text.trim().split_once(' ').ok_or(ParseError::Method)?;
        let methods = methods.split(',').map(SmolStr::new).collect();
        let (origin, path) = Origin::split(url.trim_start())?;
        let path = if path.is_empty() { "/*" } else { path };
        let grant = Self {
            methods,
            origin,
            path: path.into(),
        };
        grant.check().map(|()| grant)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.methods.join(","), self.origin, self.path)
    }
}

/// A method in upper case. RFC 9110 section 9.1 makes methods case-sensitive: `get` is not `GET`.
pub(crate) fn is_method(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=32).contains(&text.len()) && text.bytes().all(byte)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn grants_are_written_and_read() {
        for text in [
            "GET,POST https://api.example.com/v1/*",
            "* https://*.example.com:8443/*",
            "GET http://[::1]/a",
            "VERSION-CONTROL,A_1 https://h/",
        ] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        assert_eq!(
            "GET https://h".parse::<Grant>().unwrap().to_string(),
            "GET https://h/*"
        );
        assert_eq!(
            "GET https://h/".parse::<Grant>().unwrap().to_string(),
            "GET https://h/"
        );
        for (text, error) in [
            ("https://h/", ParseError::Method),
            ("", ParseError::Method),
            ("get https://h/", ParseError::Method),
            ("GET, https://h/", ParseError::Method),
            ("GET+A https://h/", ParseError::Method),
            ("GET,* https://h/", ParseError::Method),
            ("GET h/", ParseError::Scheme),
            ("GET https://h?q", ParseError::Host),
            ("GET https://u:p@h/", ParseError::Port),
            ("GET https://h/a?b", ParseError::Path),
            ("GET https://h/*/b", ParseError::Path),
            ("GET https://h/a/../b", ParseError::Path),
            ("GET https://h/a b", ParseError::Path),
        ] {
            assert_eq!(text.parse::<Grant>(), Err(error), "{text}");
        }
        assert!(ParseError::Method.to_string().contains("GET,POST https://"));
    }

    #[test]
    fn a_grant_allows_what_it_says() {
        let grant: Grant = "GET,POST https://api.example.com/v1/*".parse().unwrap();
        let allows =
            |method, scheme, host, port, path| grant.allows(method, scheme, host, port, path);
        assert!(allows(
            "POST",
            "https",
            "api.example.com",
            443,
            "/v1/charges"
        ));
        assert!(!allows(
            "PUT",
            "https",
            "api.example.com",
            443,
            "/v1/charges"
        ));
        assert!(!allows(
            "get",
            "https",
            "api.example.com",
            443,
            "/v1/charges"
        ));
        assert!(!allows("GET", "http", "api.example.com", 80, "/v1/charges"));
        assert!(!allows(
            "GET",
            "https",
            "api.example.com",
            443,
            "/v1/../admin"
        ));
        let any: Grant = "* https://h/*".parse().unwrap();
        assert!(
            any.allows("DELETE", "https", "h", 443, "/")
                && !any.allows("*", "https", "h", 443, "/")
        );
    }
    #[test]
    fn a_grant_lies_within_a_wider_one() {
        let within = |a: &str, b: &str| a.parse::<Grant>().unwrap().within(&b.parse().unwrap());
        let wide = "GET,POST https://*.example.com/v1/*";
        for (narrow, wide, expected) in [
            (wide, wide, true),
            ("GET https://*.example.com/v1/*", wide, true),
            ("POST https://a.b.example.com/v1/x", wide, true),
            ("POST,GET https://*.b.example.com/v1/x/*", wide, true),
            ("PUT https://a.example.com/v1/x", wide, false),
            ("GET,PUT https://a.example.com/v1/x", wide, false),
            ("* https://a.example.com/v1/x", wide, false),
            ("GET https://example.com/v1/x", wide, false),
            ("GET https://*.com.example.org/v1/x", wide, false),
            ("GET https://aexample.com/v1/x", wide, false),
            ("GET https://*.xexample.com/v1/x", wide, false),
            ("GET https://a.example.com/v1", wide, false),
            ("GET https://a.example.com/v*", wide, false),
            ("GET https://a.example.com/*", wide, false),
            ("GET https://a.example.com:8443/v1/x", wide, false),
            ("GET http://a.example.com/v1/x", wide, false),
            ("* https://h/*", "* https://h/*", true),
            ("DELETE https://h/a", "* https://h/*", true),
            ("GET https://h/a", "GET https://h/a", true),
            ("GET https://h/a*", "GET https://h/a", false),
            ("GET https://h/a", "GET https://h/a*", true),
            ("GET https://h/ab", "GET https://h/a", false),
            ("GET https://*.a.test/", "GET https://b.a.test/", false),
            ("GET https://*.a.test/", "GET https://*.b.a.test/", false),
            ("GET http://127.0.0.1/", "GET http://127.0.0.1/*", true),
        ] {
            assert_eq!(within(narrow, wide), expected, "{narrow} in {wide}");
        }
    }

    #[test]
    fn an_intersection_allows_what_both_allow() {
        for (a, b, both) in [
            (
                "GET,POST https://h/v1/*",
                "POST,PUT https://h/*",
                Some("POST https://h/v1/*"),
            ),
            ("* https://h/v1/a", "GET https://*.h.test/*", None),
            (
                "* https://a.h.test/*",
                "GET https://*.h.test/v1*",
                Some("GET https://a.h.test/v1*"),
            ),
            (
                "* https://*.b.h.test/*",
                "* https://*.h.test/*",
                Some("* https://*.b.h.test/*"),
            ),
            ("GET https://h/", "POST https://h/", None),
            ("GET https://h/a", "GET https://h/b", None),
            ("GET https://h/a*", "GET https://h/b*", None),
            ("GET https://h/a/*", "GET https://h/a", None),
            ("GET https://h/", "GET http://h/", None),
            ("GET https://h/", "GET https://h:8443/", None),
        ] {
            let (a, b) = (a.parse::<Grant>().unwrap(), b.parse::<Grant>().unwrap());
            let shown = |grant: Option<Grant>| grant.map(|grant| grant.to_string());
            assert_eq!(shown(a.intersection(&b)).as_deref(), both, "{a} and {b}");
            assert_eq!(shown(b.intersection(&a)).as_deref(), both, "{b} and {a}");
        }
    }
}
