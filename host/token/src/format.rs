//! Formats: how a bound secret stands in its header.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::{ParseError, Secret};

/// How the value stands in the header.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// `basic:USER`: `Basic ` and base64 of `USER:value` (RFC 7617 section 2).
    Basic {
        /// The user, maybe empty; visible ASCII or spaces, without `:`.
        user: String,
    },
    /// Visible ASCII or spaces with exactly one `{}`, where the value goes: `Bearer {}`.
    Template(String),
}

impl Format {
    /// The header's value. It holds the secret, so it is one.
    pub fn render(&self, value: &Secret) -> Secret {
        Secret::new(match self {
            Self::Basic { user } => {
                let pair = Zeroizing::new(format!("{user}:{}", value.expose()));
                let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
                format!("Basic {}", *encoded)
            }
            Self::Template(template) => template.replacen("{}", value.expose(), 1),
        })
    }

    /// True if the rendered value is a field value (RFC 9110 section 5.5) that no server trims or splits.
    pub(crate) fn accepts(&self, value: &Secret) -> bool {
        let value = value.expose();
        let fits = match self {
            Self::Basic { .. } => !value.chars().any(char::is_control),
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
            Self::Template(text) => {
                is_field_value(text)
                    && text.matches("{}").count() == 1
                    && !text.starts_with("basic:")
            }
        }
    }
}

impl FromStr for Format {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let format = match text.strip_prefix("basic:") {
            Some(user) => Self::Basic {
                user: user.to_owned(),
            },
            None => Self::Template(text.to_owned()),
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
            Self::Template(text) => f.write_str(text),
        }
    }
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
                .render(&secret)
                .expose(),
            "Bearer a{}b"
        );
        // RFC 7617 section 2, its example.
        let basic: Format = "basic:Aladdin".parse().unwrap();
        assert_eq!(
            basic
                .render(&Secret::new("open sesame".to_owned()))
                .expose(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        for value in ["", " a", "a\r\nb: c", "a\n", "ä", "a\0"] {
            assert!(
                !Format::Template("{}".to_owned()).accepts(&Secret::new(value.to_owned())),
                "{value:?}"
            );
        }
        assert!(
            basic.accepts(&Secret::new("ä".to_owned()))
                && !basic.accepts(&Secret::new("a\nb".to_owned()))
        );
    }
}
