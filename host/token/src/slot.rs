//! Slots: the one header of the one request into which the host writes a bound secret.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

use crate::grant::is_method;
use crate::{Format, Origin, ParseError, path};

/// Where a bound secret goes. The guest never reads the value; a request that matches gets the header.
///
/// Its text is `POST https://api.stripe.com/v1/charges authorization: Bearer {}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Slot {
    /// One method, in upper case.
    pub method: SmolStr,
    /// Where the request goes. Not a wildcard: whoever gets a name below it would get the secret.
    pub origin: Origin,
    /// A path, a prefix if it ends in `*`.
    pub path: SmolStr,
    /// The name of the header, in lower case (RFC 9110 section 5.1).
    pub header: SmolStr,
    /// What the header says.
    pub format: Format,
}

impl Slot {
    /// True if the request gets this slot's header. Arguments as for [`Grant::allows`](crate::Grant::allows).
    pub fn matches(&self, method: &str, scheme: &str, host: &str, port: u16, path: &str) -> bool {
        self.method == method
            && self.origin.matches(scheme, host, port)
            && path::matches(&self.path, path)
    }

    /// True if whatever this slot writes, `other` would write as well.
    pub fn within(&self, other: &Self) -> bool {
        self.method == other.method
            && self.origin == other.origin
            && path::within(&self.path, &other.path)
            && self.header == other.header
            && self.format == other.format
    }

    /// True if some request would get one header from both slots.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        self.method == other.method
            && self.origin == other.origin
            && self.header == other.header
            && path::overlap(&self.path, &other.path)
    }

    /// Checks what the types leave open.
    pub(crate) fn check(&self) -> Result<(), ParseError> {
        if !is_method(&self.method) {
            Err(ParseError::Method)
        } else if self.origin.is_wildcard() {
            Err(ParseError::WildcardSlot)
        } else if !path::is_pattern(&self.path) {
            Err(ParseError::Path)
        } else if !is_header(&self.header) {
            Err(ParseError::Header)
        } else if !self.format.is_valid() {
            Err(ParseError::Format)
        } else {
            Ok(())
        }
    }
}

impl FromStr for Slot {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (method, rest) = text.trim().split_once(' ').ok_or(ParseError::Slot)?;
        let (url, rest) = rest.trim_start().split_once(' ').ok_or(ParseError::Slot)?;
        let (header, format) = rest.split_once(':').ok_or(ParseError::Slot)?;
        let (origin, path) = Origin::split(url)?;
        let header = header.trim_start().to_ascii_lowercase().into();
        let slot = Self {
            method: method.into(),
            origin,
            path: path.into(),
            header,
            format: format.trim().parse()?,
        };
        slot.check().map(|()| slot)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}{} {}: {}",
            self.method, self.origin, self.path, self.header, self.format
        )
    }
}

/// A field name (RFC 9110 section 5.6.2) in lower case. Headers that frame, route or identify the
/// request belong to the host: a secret in them would be a way to smuggle one request in another.
fn is_header(name: &str) -> bool {
    const HOST: [&str; 8] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let byte =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=64).contains(&name.len())
        && name.bytes().all(byte)
        && !HOST.contains(&name)
        && !name.starts_with("proxy-")
        && !name.starts_with("webtask-")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn slots_are_written_and_read() {
        for text in [
            "POST https://api.stripe.com/v1/charges authorization: Bearer {}",
            "GET http://127.0.0.1:8080/* x-api-key: {}",
            "PUT https://h/ authorization: basic:user",
            "PUT https://h/ authorization: basic:",
            "POST https://h/ x-hub-signature-256: hmac-sha256:sha256={}",
        ] {
            assert_eq!(text.parse::<Slot>().unwrap().to_string(), text);
        }
        let slot: Slot = "POST https://API.stripe.com/v1/charges Authorization:Bearer {}"
            .parse()
            .unwrap();
        assert_eq!(
            slot.to_string(),
            "POST https://api.stripe.com/v1/charges authorization: Bearer {}"
        );
        assert!(slot.matches("POST", "https", "api.stripe.com", 443, "/v1/charges"));
        assert!(!slot.matches("GET", "https", "api.stripe.com", 443, "/v1/charges"));
        assert!(!slot.matches("POST", "https", "api.stripe.com", 443, "/v1/charges/1"));
    }

    #[test]
    fn wrong_slots_are_refused() {
        for (text, error) in [
            ("https://h/ a: {}", ParseError::Slot),
            ("POST https://h/", ParseError::Slot),
            ("POST https://h a: {}", ParseError::Path),
            ("* https://h/ a: {}", ParseError::Method),
            ("post https://h/ a: {}", ParseError::Method),
            (
                "POST https://*.example.com/ a: {}",
                ParseError::WildcardSlot,
            ),
            ("POST https://h/ a b: {}", ParseError::Header),
            ("POST https://h/ : {}", ParseError::Header),
            ("POST https://h/ Host: {}", ParseError::Header),
            (
                "POST https://h/ proxy-authorization: {}",
                ParseError::Header,
            ),
            ("POST https://h/ webtask-token: {}", ParseError::Header),
            ("POST https://h/ a: Bearer", ParseError::Format),
            ("POST https://h/ a: {}{}", ParseError::Format),
            ("POST https://h/ a: {}\r\nb: c", ParseError::Format),
            ("POST https://h/ a: basic:u:v", ParseError::Format),
            ("POST https://h/ a: basic:{}", ParseError::Format),
        ] {
            assert_eq!(text.parse::<Slot>(), Err(error), "{text}");
        }
        for header in [
            "connection",
            "content-length",
            "host",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ] {
            assert!(!is_header(header), "{header}");
        }
    }

    #[test]
    fn a_slot_lies_within_a_wider_one_of_the_same_header_and_format() {
        let slot = |text: &str| text.parse::<Slot>().unwrap();
        let wide = slot("GET https://h/v1/* a: x {}");
        assert!(slot("GET https://h/v1/b a: x {}").within(&wide) && wide.within(&wide));
        for other in [
            "POST https://h/v1/b a: x {}",
            "GET https://i/v1/b a: x {}",
            "GET https://h/* a: x {}",
            "GET https://h/v1/b b: x {}",
            "GET https://h/v1/b a: {}",
        ] {
            assert!(!slot(other).within(&wide), "{other}");
        }
    }

    #[test]
    fn collisions_are_seen() {
        let slot = |text: &str| text.parse::<Slot>().unwrap();
        assert!(slot("GET https://h/* a: {}").collides(&slot("GET https://h/b a: x {}")));
        assert!(!slot("GET https://h/* a: {}").collides(&slot("GET https://h/b b: {}")));
    }
}
