//! Masking: no secret of an invocation stands in a record about it.
//!
//! Against accidents, such as a guest that prints its configuration: a guest that wants to tell a
//! readable secret can always spell it otherwise.

use std::{borrow::Cow, ops::Range};

use memchr::memmem;

use crate::rights::Rights;

/// Shorter values are no secrets, and masking them would make every line unreadable.
const SHORTEST: usize = 4;
/// A line of a value in several lines (a key in PEM) is masked by itself from this length on.
const SHORTEST_LINE: usize = 8;

impl Rights {
    /// `text` with the name of a secret in the place of its value.
    pub(crate) fn mask<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let spans = self.secret_spans(text);
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut done = 0;
        for (span, name) in spans {
            masked.extend_from_slice(text.get(done..span.start).unwrap_or_default());
            masked.extend_from_slice(format!("[secret {name}]").as_bytes());
            done = span.end;
        }
        masked.extend_from_slice(text.get(done..).unwrap_or_default());
        Cow::Owned(masked)
    }

    /// Where values of secrets stand in `text`, in order and without overlaps.
    pub(crate) fn secret_spans(&self, text: &[u8]) -> Vec<(Range<usize>, &str)> {
        let mut found = Vec::new();
        for (name, value) in self.needles() {
            let ends = memmem::find_iter(text, value).map(|at| (at..at + value.len(), name));
            found.extend(ends);
        }
        found.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
        let mut spans: Vec<(Range<usize>, &str)> = Vec::with_capacity(found.len());
        for (span, name) in found {
            match spans.last_mut() {
                Some((last, _)) if span.start < last.end => last.end = last.end.max(span.end),
                _ => spans.push((span, name)),
            }
        }
        spans
    }

    /// Bytes of the longest text that is masked.
    pub(crate) fn longest_secret(&self) -> usize {
        self.needles()
            .map(|(_, value)| value.len())
            .max()
            .unwrap_or(0)
    }

    /// What is masked, by the name of its secret: values, and the lines of those in several lines.
    fn needles(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.secrets.iter().flat_map(|(name, secret)| {
            let value = secret.value.expose();
            let lines = value.lines().map(str::trim);
            let lines = lines.filter(move |line| line.len() >= SHORTEST_LINE && *line != value);
            std::iter::once(value)
                .filter(|value| value.len() >= SHORTEST)
                .chain(lines)
                .map(|text| (name.as_str(), text.as_bytes()))
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use webtask_token::{Claims, Keyring, Secret, SecretClaim};

    use crate::{Limits, rights::Rights};

    fn rights(secrets: &[(&str, &str)]) -> Rights {
        let mut claims = Claims::new("https://h/a.wasm", 1_000);
        for (name, value) in secrets {
            let secret = SecretClaim {
                value: Secret::new((*value).to_owned()),
                slots: Vec::new(),
            };
            claims.secrets.insert((*name).to_owned(), secret);
        }
        let keyring = Keyring::generate(None);
        let token = keyring.seal(&claims).unwrap();
        let opened = keyring.open(&token, 1_000).unwrap();
        Rights::of(opened, &Limits::default(), None).unwrap()
    }

    fn masked(secrets: &[(&str, &str)], text: &str) -> String {
        String::from_utf8(rights(secrets).mask(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn values_are_replaced_by_their_names() {
        let secrets = [
            ("key", "sk_live_1"),
            ("longer", "sk_live_12"),
            ("pin", "123"),
        ];
        for (text, expected) in [
            ("", ""),
            ("nothing to hide", "nothing to hide"),
            ("sk_live_1", "[secret key]"),
            ("a sk_live_1, sk_live_1.", "a [secret key], [secret key]."),
            ("sk_live_12", "[secret longer]"),
            ("sk_live_sk_live_1", "sk_live_[secret key]"),
            ("pin 123", "pin 123"),
        ] {
            assert_eq!(masked(&secrets, text), expected);
        }
    }

    #[test]
    fn overlapping_values_leave_nothing_between_them() {
        let secrets = [("a", "abcdef"), ("b", "defghi")];
        assert_eq!(masked(&secrets, "-abcdefghi-"), "-[secret a]-");
    }

    #[test]
    fn each_line_of_a_value_in_lines_is_masked() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n-----END KEY-----\n";
        assert_eq!(masked(&[("pem", key)], key), "[secret pem]");
        assert_eq!(
            masked(&[("pem", key)], "x MIIEvQIBADANBg y"),
            "x [secret pem] y"
        );
        assert_eq!(masked(&[("pem", key)], "short"), "short");
        assert_eq!(rights(&[("pem", key)]).longest_secret(), key.len());
        assert_eq!(rights(&[]).longest_secret(), 0);
    }
}
