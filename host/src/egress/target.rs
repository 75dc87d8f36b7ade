//! Where a request goes: scheme, host and port in the one form that is checked and dialled.

use std::net::IpAddr;

use super::{ConnectError, tls::Protocol};

/// Where a request goes, in the canonical form that is checked, resolved, dialled and sent.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    pub(crate) scheme: &'static str,
    pub(super) host: url::Host,
    pub(crate) port: u16,
}

impl Target {
    /// Parses scheme and authority of `uri`. Odd spellings (upper case, a trailing dot, numeric and
    /// hexadecimal IPv4, IDN) end in one canonical form; user information is refused.
    ///
    /// # Errors
    /// [`ConnectError::Uri`] for anything but an absolute http or https URL.
    pub fn of(uri: &http::Uri) -> Result<Self, ConnectError> {
        let bad = || ConnectError::Uri;
        let scheme = match uri.scheme_str() {
            Some("http") => "http",
            Some("https") => "https",
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        if authority.as_str().contains('@') {
            return Err(bad());
        }
        let name = authority.host();
        let name = name.strip_suffix('.').unwrap_or(name);
        let host = url::Host::parse(name).map_err(|_| bad())?;
        // No name has an empty label; with a dot left at its end it would have another form.
        if matches!(&host, url::Host::Domain(name) if name.split('.').any(str::is_empty)) {
            return Err(bad());
        }
        let port = match (authority.port_u16(), scheme) {
            (Some(0), _) => return Err(bad()),
            (Some(port), _) => port,
            // `http::Uri` accepts `host:` and `host:99999`; neither is a port.
            (None, _) if authority.as_str().len() > authority.host().len() => return Err(bad()),
            (None, "https") => 443,
            (None, _) => 80,
        };
        Ok(Self { scheme, host, port })
    }

    /// The canonical host: lower-case ASCII, IPv6 in brackets.
    pub(crate) fn host(&self) -> String {
        self.host.to_string()
    }

    /// The value of the `host` header: the port only where it is not the scheme's.
    pub(crate) fn authority(&self) -> String {
        match (self.scheme, self.port) {
            ("https", 443) | ("http", 80) => self.host(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Brings `request` into the form of the wire, with the canonical authority: origin-form and `host`
    /// (RFC 9112, section 3.2.1), or absolute and without it (RFC 9113, section 8.3.1).
    pub(super) fn address<B>(
        &self,
        request: &mut http::Request<B>,
        protocol: Protocol,
    ) -> Result<(), ConnectError> {
        let path = request.uri().path_and_query();
        let text = path.map_or("/", |path| path.as_str());
        let slash = if text.starts_with('/') { "" } else { "/" };
        let uri = match (protocol, path) {
            (Protocol::Http1, Some(path)) if slash.is_empty() => Ok(path.clone().into()),
            (Protocol::Http1, _) => format!("{slash}{text}").parse(),
            (Protocol::Http2, _) => format!("{}{slash}{text}", self.origin()).parse(),
        };
        *request.uri_mut() = uri.map_err(|_| ConnectError::Uri)?;
        let headers = request.headers_mut();
        headers.remove(http::header::HOST);
        if protocol == Protocol::Http1 {
            let host = http::HeaderValue::from_str(&self.authority());
            headers.insert(http::header::HOST, host.map_err(|_| ConnectError::Uri)?);
        }
        Ok(())
    }

    /// Scheme and authority as people write them.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    pub(crate) fn literal(&self) -> Option<IpAddr> {
        match self.host {
            url::Host::Ipv4(ip) => Some(ip.into()),
            url::Host::Ipv6(ip) => Some(ip.into()),
            url::Host::Domain(_) => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<Target, ConnectError> {
        Target::of(&uri.parse().unwrap())
    }

    #[test]
    fn trap_3_odd_spellings_have_one_form() {
        for (odd, canonical) in [
            ("http://2130706433/", "http://127.0.0.1"),
            ("http://0x7f.1/", "http://127.0.0.1"),
            ("http://0177.0.0.1/", "http://127.0.0.1"),
            ("http://127.1:80/", "http://127.0.0.1"),
            ("http://EXAMPLE.com./", "http://example.com"),
            ("https://Example.COM:443/", "https://example.com"),
            ("https://example.com:8443/", "https://example.com:8443"),
            ("http://[::FFFF:7f00:1]/", "http://[::ffff:127.0.0.1]"),
        ] {
            let target = target(odd).unwrap();
            assert_eq!(
                target
                    .origin()
                    .replace("[::ffff:7f00:1]", "[::ffff:127.0.0.1]"),
                canonical,
                "{odd}"
            );
        }
    }

    #[test]
    fn trap_3_user_information_and_bad_ports_are_refused() {
        for bad in [
            "http://good.example@127.0.0.1/",
            "http://example.com:0/",
            "http://example.com:/",
            "ftp://example.com/",
            "http://example.com../",
            "http://.example.com/",
            "http://a..b/",
        ] {
            let parsed = bad
                .parse::<http::Uri>()
                .map(|uri| Target::of(&uri).is_err());
            assert!(parsed.unwrap_or(true), "{bad}");
        }
    }
}
