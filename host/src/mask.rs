//! Masking: no secret of an invocation stands in a record about it.
//!
//! Against accidents, such as a guest that prints its configuration: a guest that wants to tell a
//! readable secret can always spell it otherwise. Upper and lower case are one, as a host's name changes it,
//! and a value in a URL is percent-encoded (RFC 3986 section 2.1).

use std::{borrow::Cow, ops::Range};

use memchr::memmem;

use crate::{rights::Rights, text::printable};

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

    /// `text` for a log: in one line, at most `max` bytes. Masked first: what is escaped or cut is not found.
    pub(crate) fn shown(&self, text: &[u8], max: usize) -> String {
        let beginning = self.beginning(text, max);
        let mut shown = printable(&String::from_utf8_lossy(&self.mask(beginning)), max);
        if beginning.len() < text.len() && !shown.ends_with('…') {
            shown.push('…');
        }
        shown
    }

    /// What of a text can be shown: `max` bytes, and the rest of a secret that goes on there. To search for
    /// secrets takes nine times the memory of what is searched, and a guest's text may have megabytes.
    fn beginning<'a>(&self, text: &'a [u8], max: usize) -> &'a [u8] {
        let reach = text.get(..max.saturating_add(self.longest_secret()));
        let Some(reach) = reach.filter(|reach| reach.len() < text.len()) else {
            return text;
        };
        let spans = self.secret_spans(reach);
        let across = spans.iter().find(|(span, _)| span.contains(&max));
        let end = across.map_or(max, |(span, _)| span.end);
        text.get(..end).unwrap_or(reach)
    }

    /// Where values of secrets stand in `text`, in order and without overlaps.
    pub(crate) fn secret_spans(&self, text: &[u8]) -> Vec<(Range<usize>, &str)> {
        let mut readings = vec![Reading::plain(text)];
        if text.contains(&b'%') {
            readings.push(Reading::decoded(text));
        }
        let mut found = Vec::new();
        for (name, value) in self.needles() {
            let value = value.to_ascii_lowercase();
            for reading in &readings {
                let places = memmem::find_iter(&reading.bytes, &value);
                found.extend(places.map(|at| (reading.span(at, value.len()), name)));
            }
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

    /// Bytes of the longest text that is masked: a value, percent-encoded.
    pub(crate) fn longest_secret(&self) -> usize {
        self.needles()
            .map(|(_, value)| value.len().saturating_mul(3))
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

/// A text as it is read, in lower case.
struct Reading {
    bytes: Vec<u8>,
    /// Where each byte begins in the text, and where the text ends.
    starts: Vec<usize>,
}

impl Reading {
    fn plain(text: &[u8]) -> Self {
        Self {
            bytes: text.to_ascii_lowercase(),
            starts: (0..=text.len()).collect(),
        }
    }

    /// With percent-encoding undone.
    fn decoded(text: &[u8]) -> Self {
        let (mut bytes, mut starts) = (Vec::with_capacity(text.len()), Vec::new());
        let mut rest = text;
        while let [first, after @ ..] = rest {
            starts.push(text.len().saturating_sub(rest.len()));
            let digits = after
                .get(..2)
                .and_then(|digits| str::from_utf8(digits).ok());
            let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            match byte.filter(|_| *first == b'%') {
                Some(byte) => {
                    bytes.push(byte.to_ascii_lowercase());
                    rest = after.get(2..).unwrap_or_default();
                }
                None => {
                    bytes.push(first.to_ascii_lowercase());
                    rest = after;
                }
            }
        }
        starts.push(text.len());
        Self { bytes, starts }
    }

    /// Where `length` bytes from `at` on stand in the text.
    fn span(&self, at: usize, length: usize) -> Range<usize> {
        let end = self.starts.last().copied().unwrap_or(0);
        let place = |at: usize| self.starts.get(at).copied().unwrap_or(end);
        place(at)..place(at.saturating_add(length))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use webtask_token::{Claims, Keyring, Secret, SecretClaim};

    use crate::{Limits, Tenants, rights::Rights, tenant::Ceilings};

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
        let ceilings = Ceilings::new(Tenants::default(), &Limits::default(), None);
        let (tenant, ceiling) = ceilings.of("default").unwrap();
        Rights::of(opened, tenant, ceiling).unwrap()
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
    fn values_in_urls_are_masked() {
        let secrets = [("key", "sk/Live+1 ü"), ("host", "sk-Live-2")];
        for (text, expected) in [
            ("GET /v1/sk%2FLive%2b1%20%C3%BC?x", "GET /v1/[secret key]?x"),
            ("/%73%6b%2f%4c%69%76%65%2b%31%20%c3%bc", "/[secret key]"),
            ("/%%73%6b/Live+1%20%C3%BC%", "/%[secret key]%"),
            (
                "https://sk-live-2.example/%2",
                "https://[secret host].example/%2",
            ),
            ("%2sk-live-2%2x%", "%2[secret host]%2x%"),
            ("%73k%2Dlive%2D2sk-Live-2", "[secret host]"),
            ("/sk%252FLive", "/sk%252FLive"),
        ] {
            // What touches is one span.
            let masked =
                masked(&secrets, text).replace("[secret host][secret host]", "[secret host]");
            assert_eq!(masked, expected);
        }
    }

    /// Whatever its length, a text is searched as far as it is shown, and a secret at the cut is found whole.
    #[test]
    fn what_is_shown_of_a_text_is_masked_up_to_the_cut() {
        let rights = rights(&[("key", "sk_live_1")]);
        let text = format!("{}sk_live_1{}", "~".repeat(95), "~".repeat(1 << 20));
        for most in [90, 94, 95, 96, 99, 104, 105, 110] {
            let shown = rights.shown(text.as_bytes(), most);
            let left = shown.replace("[secret key]", "");
            assert!(!left.contains("sk"), "{most}: {shown}");
            assert!(
                shown.ends_with('…') && shown.len() < most + 4,
                "{most}: {shown}"
            );
            assert!(rights.beginning(text.as_bytes(), most).len() <= most + 9);
        }
        assert_eq!(rights.shown(b"sk_live_1", 100), "[secret key]");
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
        assert_eq!(rights(&[("pem", key)]).longest_secret(), 3 * key.len());
        assert_eq!(rights(&[]).longest_secret(), 0);
    }
}
