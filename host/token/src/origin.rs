//! Origins: scheme, host, port, in one spelling only.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use smol_str::SmolStr;

use crate::ParseError;
use crate::units::parse_number;

/// The scheme of an origin.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An outbound server: `https://api.stripe.com`, `https://*.example.com:8443`, `http://[::1]:8080`.
///
/// There is one value, and one text, for each origin. `*.example.com` stands for every name below
/// `example.com`, at any depth, and not for `example.com` itself.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin {
    scheme: Scheme,
    host: SmolStr,
    port: u16,
}

impl Origin {
    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host in canonical form: lower case, no final dot, IPv6 in brackets; maybe `*.NAME`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's own if none was written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Splits `https://host/path` into the origin and the path with its `/`, or `""` if there is none.
    pub(crate) fn split(url: &str) -> Result<(Self, &str), ParseError> {
        let (origin, path) = split(url)?;
        Ok((origin.parse()?, path))
    }

    /// True if the host is `*.NAME`.
    pub fn is_wildcard(&self) -> bool {
        self.host.starts_with('*')
    }

    /// True if every origin that this stands for is one that `other` stands for.
    pub(crate) fn within(&self, other: &Self) -> bool {
        let below = match (self.host.strip_prefix('*'), other.host.strip_prefix('*')) {
            (Some(suffix), Some(wider)) => suffix.ends_with(wider),
            (Some(_), None) => false,
            (None, _) => other.matches(self.scheme.as_str(), &self.host, self.port),
        };
        self.scheme == other.scheme && self.port == other.port && below
    }

    /// True if a request to this scheme, host and port goes to this origin.
    ///
    /// `host` is canonical, as [`host`](Self::host) is; another spelling does not match.
    pub fn matches(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host_matches = match self.host.strip_prefix('*') {
            Some(suffix) => is_name(host) && host.ends_with(suffix),
            None => host == self.host,
        };
        scheme == self.scheme.as_str() && port == self.port && host_matches
    }
}

impl FromStr for Origin {
    type Err = ParseError;

    /// Takes upper case and an explicit default port as well, and makes them canonical.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (scheme, host, port) = canonical(text)?;
        let host = SmolStr::from(host);
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

fn after_scheme(text: &str) -> Result<(Scheme, &str), ParseError> {
    if let Some(rest) = text.strip_prefix("https://") {
        Ok((Scheme::Https, rest))
    } else if let Some(rest) = text.strip_prefix("http://") {
        Ok((Scheme::Http, rest))
    } else {
        Err(ParseError::Scheme)
    }
}

/// Splits `https://host/path` before the `/` of the path, if there is one.
fn split(url: &str) -> Result<(&str, &str), ParseError> {
    let (_, rest) = after_scheme(url)?;
    let slash = rest.bytes().position(|b| b == b'/');
    let path = slash.map_or(0, |slash| rest.len() - slash);
    url.split_at_checked(url.len() - path)
        .ok_or(ParseError::Scheme)
}

/// Scheme, host and port of an origin's text, in canonical form.
fn canonical(text: &str) -> Result<(Scheme, Cow<'_, str>, u16), ParseError> {
    let (scheme, authority) = after_scheme(text)?;
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map_or(0, |bracket| bracket + 2),
        None => 0,
    };
    let colon = |rest: &str| rest.bytes().position(|b| b == b':');
    let (host, port) = match authority.get(end..).and_then(colon) {
        Some(colon) => (
            authority.get(..end + colon),
            authority.get(end + colon + 1..),
        ),
        None => (Some(authority), None),
    };
    let port = match port {
        Some(digits) => parse_number(digits)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or(ParseError::Port)?,
        None => scheme.default_port(),
    };
    let host = canonical_host(host.unwrap_or_default()).ok_or(ParseError::Host)?;
    Ok((scheme, host, port))
}

/// What follows a URL's origin, if that is one origin, no wildcard, in its one spelling: upper case, a default
/// port or zeros before it would be others.
pub(crate) fn after_canonical(url: &str) -> Option<&str> {
    let (text, path) = split(url).ok()?;
    let (scheme, host, port) = canonical(text).ok()?;
    let written = after_scheme(text).ok()?.1.strip_prefix(&*host)?;
    let same = match written {
        "" => port == scheme.default_port(),
        _ => port != scheme.default_port() && written == format!(":{port}"),
    };
    (same && !host.starts_with('*')).then_some(path)
}

fn canonical_host(host: &str) -> Option<Cow<'_, str>> {
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        // `::ffff:a.b.c.d` has two texts in common use, and a plainer one as IPv4.
        return address
            .to_ipv4_mapped()
            .is_none()
            .then(|| format!("[{address}]").into());
    }
    let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    if let Some(name) = host.strip_prefix("*.") {
        // `*.com` would be every company there is.
        return (is_name(name) && name.contains('.')).then_some(host);
    }
    (is_name(&host) || host.parse::<Ipv4Addr>().is_ok()).then_some(host)
}

/// A canonical DNS name. A last label that a URL parser would read as a number makes it an address
/// (WHATWG URL "ends in a number"): `2130706433` and `0x7f.1` are 127.0.0.1 to many clients, and `0x` is 0.
fn is_name(host: &str) -> bool {
    let byte = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    let label = |l: &[u8]| {
        (1..=63).contains(&l.len())
            && l.iter().all(byte)
            && !l.starts_with(b"-")
            && !l.ends_with(b"-")
    };
    // Slices of bytes: a `str` splits with a search that does not pay for labels.
    let mut labels = host.as_bytes().rsplit(|b| *b == b'.');
    let last = labels.next().unwrap_or_default();
    let number = last.iter().all(u8::is_ascii_digit)
        || last
            .strip_prefix(b"0x")
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    host.len() <= 253 && label(last) && labels.all(label) && !number
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn origins_have_one_spelling() {
        for (text, canonical) in [
            ("https://api.stripe.com", "https://api.stripe.com"),
            ("https://API.Stripe.com:443", "https://api.stripe.com"),
            ("https://h:80", "https://h:80"),
            ("https://h.0xg", "https://h.0xg"),
            ("https://0x.test", "https://0x.test"),
            ("http://127.0.0.1:080", "http://127.0.0.1"),
            ("http://[0:0::1]:8080", "http://[::1]:8080"),
            ("https://*.Example.com", "https://*.example.com"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.to_string(), canonical);
            assert_eq!(canonical.parse::<Origin>().unwrap(), origin);
        }
    }

    #[test]
    fn what_follows_a_canonical_origin_is_found() {
        for (url, rest) in [
            ("https://h", ""),
            ("https://h/a:b", "/a:b"),
            ("http://h:8080/", "/"),
            ("https://[::1]/", "/"),
            ("https://[::1]:8443", ""),
        ] {
            assert_eq!(after_canonical(url), Some(rest), "{url}");
        }
        for url in [
            "https://H",
            "https://h:443/",
            "https://h:08443/",
            "https://h:8443x/",
            "https://[0:0::1]/",
            "https://[::1]:443/",
            "https://*.h.test/",
            "ftp://h/",
        ] {
            assert_eq!(after_canonical(url), None, "{url}");
        }
    }

    #[test]
    fn odd_spellings_are_refused() {
        for (text, error) in [
            ("api.example.com", ParseError::Scheme),
            ("HTTPS://h", ParseError::Scheme),
            ("ftp://h", ParseError::Scheme),
            ("https://h:0", ParseError::Port),
            ("https://h:65536", ParseError::Port),
            ("https://h:+1", ParseError::Port),
            ("https://h:", ParseError::Port),
            ("https://h:1:2", ParseError::Port),
            ("https://", ParseError::Host),
            ("https://h.", ParseError::Host),
            ("https://.h", ParseError::Host),
            ("https://a..b", ParseError::Host),
            ("https://user@h", ParseError::Host),
            ("https://h/", ParseError::Host),
            ("https://h%2e", ParseError::Host),
            ("https://bücher.example", ParseError::Host),
            ("https://*", ParseError::Host),
            ("https://*.com", ParseError::Host),
            ("https://a.*.com", ParseError::Host),
            ("https://*.1.2", ParseError::Host),
            ("http://2130706433", ParseError::Host),
            ("http://0x7f.1", ParseError::Host),
            ("http://127.0x1", ParseError::Host),
            ("http://h.0x", ParseError::Host),
            ("http://0X", ParseError::Host),
            ("http://h.09", ParseError::Host),
            ("https://*.h.0x", ParseError::Host),
            ("http://127.1", ParseError::Host),
            ("http://0177.0.0.1", ParseError::Host),
            ("http://127.0.0.1.", ParseError::Host),
            ("http://[::ffff:7f00:1]", ParseError::Host),
            ("http://[::1%25lo]", ParseError::Host),
            ("http://::1", ParseError::Port),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }

    #[test]
    fn only_the_same_origin_matches() {
        let origin: Origin = "https://api.example.com".parse().unwrap();
        assert!(origin.matches("https", "api.example.com", 443));
        assert_eq!((origin.scheme(), origin.port()), (Scheme::Https, 443));
        let other: Origin = "http://[::1]:8443".parse().unwrap();
        assert_eq!((other.host(), other.port()), ("[::1]", 8443));
        for (scheme, host, port) in [
            ("http", "api.example.com", 443),
            ("https", "api.example.com", 444),
            ("https", "api.example.com.", 443),
            ("https", "API.example.com", 443),
            ("https", "a.api.example.com", 443),
            ("https", "example.com", 443),
        ] {
            assert!(
                !origin.matches(scheme, host, port),
                "{scheme} {host} {port}"
            );
        }
        let below: Origin = "https://*.example.com".parse().unwrap();
        assert!(
            below.matches("https", "a.example.com", 443)
                && below.matches("https", "a.b.example.com", 443)
        );
        for host in [
            "example.com",
            ".example.com",
            "a..example.com",
            "aexample.com",
            "a.example.com.",
            "*.example.com",
            "a.example.org",
        ] {
            assert!(!below.matches("https", host, 443), "{host}");
        }
    }
}
