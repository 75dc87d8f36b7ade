//! Formats: how a bound secret stands in its header.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use smol_str::SmolStr;
use zeroize::Zeroizing;

use crate::{ParseError, Secret};

/// How the value stands in the header.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// `basic:USER`: `Basic ` and base64 of `USER:value` (RFC 7617 section 2).
    Basic {
        /// The user, maybe empty; visible ASCII or inner spaces, without `:` and `{}`.
        user: SmolStr,
    },
    /// `hmac-sha256:TEMPLATE`: the template with HMAC-SHA256 of the request's body (RFC 2104), in lower-case
    /// hexadecimal digits, in the place of its one `{}`. The value is the key, and is not sent.
    HmacSha256 {
        /// As for [`Format::Template`]: `sha256={}`.
        template: SmolStr,
    },
    /// Visible ASCII or spaces with exactly one `{}`, where the value goes: `Bearer {}`.
    Template(SmolStr),
}

impl Format {
    /// The header's value for a request with `body`, which counts only if [`signs_body`](Self::signs_body).
    /// It may hold the secret, so it is one.
    pub fn render(&self, value: &Secret, body: &[u8]) -> Secret {
        Secret::new(match self {
            Self::Basic { user } => {
                let pair = Zeroizing::new(format!("{user}:{}", value.expose()));
                let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
                format!("Basic {}", *encoded)
            }
            Self::HmacSha256 { template } => {
                let mut mac = Hmac::<Sha256>::new_from_slice(value.expose().as_bytes())
                    .expect("HMAC takes a key of any length");
                mac.update(body);
                let mac = HEXLOWER.encode(&mac.finalize().into_bytes());
                template.replacen("{}", &mac, 1)
            }
            Self::Template(template) => template.replacen("{}", value.expose(), 1),
        })
    }

    /// True if the header depends on the request's body, which must then be whole before the head is sent.
    pub fn signs_body(&self) -> bool {
        matches!(self, Self::HmacSha256 { .. })
    }

    /// True if the rendered value is a field value (RFC 9110 section 5.5) that no server trims or splits.
    pub(crate) fn accepts(&self, value: &Secret) -> bool {
        let value = value.expose();
        let fits = match self {
            Self::Basic { .. } | Self::HmacSha256 { .. } => !value.chars().any(char::is_control),
            Self::Template(_) => is_field_value(value),
        };
        fits && !value.is_empty()
    }

    /// Checks what the types leave open.
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Basic { user } => {
                is_field_value(user) && !user.contains(':') && !user.contains("{}")
            }
            Self::HmacSha256 { template } => is_template(template),
            // The names of formats, those to come too: a text has one meaning in every version.
            Self::Template(text) => {
                is_template(text) && !text.starts_with("basic:") && !text.starts_with("hmac-")
            }
        }
    }
}

impl FromStr for Format {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let format = if let Some(user) = text.strip_prefix("basic:") {
            let user = user.into();
            Self::Basic { user }
        } else if let Some(template) = text.strip_prefix("hmac-sha256:") {
            let template = template.into();
            Self::HmacSha256 { template }
        } else {
            Self::Template(text.into())
        };
        if format.is_valid() {
            Ok(format)
        } else {
            Err(ParseError::Format)
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user } => write!(f, "basic:{user}"),
            Self::HmacSha256 { template } => write!(f, "hmac-sha256:{template}"),
            Self::Template(text) => f.write_str(text),
        }
    }
}

fn is_template(text: &str) -> bool {
    let places = text.as_bytes().windows(2).filter(|pair| pair == b"{}");
    is_field_value(text) && places.count() == 1
}

fn is_field_value(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && text.trim() == text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn values_are_rendered_once() {
        let secret = Secret::new("a{}b".to_owned());
        assert_eq!(
            "Bearer {}"
                .parse::<Format>()
                .unwrap()
                .render(&secret, b"")
                .expose(),
            "Bearer a{}b"
        );
        // RFC 7617 section 2, its example.
        let basic: Format = "basic:Aladdin".parse().unwrap();
        assert_eq!(
            basic
                .render(&Secret::new("open sesame".to_owned()), b"")
                .expose(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        for value in ["", " a", "a\r\nb: c", "a\n", "ä", "a\0"] {
            assert!(
                !Format::Template("{}".into()).accepts(&Secret::new(value.to_owned())),
                "{value:?}"
            );
        }
        assert!(
            basic.accepts(&Secret::new("ä".to_owned()))
                && !basic.accepts(&Secret::new("a\nb".to_owned()))
        );
    }

    #[test]
    fn a_user_ends_at_its_colon() {
        for user in ["", "a", "a b", "!{~}%3A"] {
            assert!(format!("basic:{user}").parse::<Format>().is_ok(), "{user}");
        }
        for user in [
            ":", "a:b", "{}", " a", "a ", "a\tb", "a\nb", "a\0", "a\u{7f}", "\u{e4}",
        ] {
            let user = SmolStr::from(user);
            assert!(!Format::Basic { user: user.clone() }.is_valid(), "{user:?}");
        }
    }

    #[test]
    fn bodies_are_signed() {
        let format: Format = "hmac-sha256:sha256={}".parse().unwrap();
        assert_eq!(format.to_string(), "hmac-sha256:sha256={}");
        assert!(format.signs_body() && !"Bearer {}".parse::<Format>().unwrap().signs_body());
        // The example of GitHub's documentation on webhooks.
        let key = Secret::new("It's a Secret to Everybody".to_owned());
        assert_eq!(
            format.render(&key, b"Hello, World!").expose(),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
        // RFC 4231 section 4.3.
        let format: Format = "hmac-sha256:{}".parse().unwrap();
        assert_eq!(
            format
                .render(
                    &Secret::new("Jefe".to_owned()),
                    b"what do ya want for nothing?"
                )
                .expose(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        for text in [
            "hmac-sha256:",
            "hmac-sha256:sha256=",
            "hmac-sha256:{}{}",
            "hmac-sha256: {}",
            "hmac-sha256",
            "hmac-sha512:{}",
            "hmac-{}",
        ] {
            assert_eq!(text.parse::<Format>(), Err(ParseError::Format), "{text}");
        }
        assert!(format.accepts(&Secret::new("ä \u{20ac}".to_owned())));
        assert!(
            !format.accepts(&Secret::new(String::new()))
                && !format.accepts(&Secret::new("a\n".to_owned()))
        );
    }
}
