//! The forms in which software sends a text back: encoded, escaped, widened.
//!
//! The search takes upper and lower case as one, and undoes percent-encoding: neither is a form.

use data_encoding::{BASE64, BASE64URL, HEXLOWER};

/// Bytes of the shortest form that is searched: shorter ones stand in any response by chance.
pub const SHORTEST: usize = 6;

/// What escapers write for a character, each list as one of them does.
type Escapes = &'static [(char, &'static str)];

const JSON: [Escapes; 5] = [
    &[('"', "\\\""), ('\\', "\\\\")],
    // PHP
    &[('"', "\\\""), ('\\', "\\\\"), ('/', "\\/")],
    // Go, Rails
    &[
        ('"', "\\\""),
        ('\\', "\\\\"),
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
    ],
    // Gson
    &[
        ('"', "\\\""),
        ('\\', "\\\\"),
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('=', "\\u003d"),
        ('\'', "\\u0027"),
    ],
    // .NET
    &[
        ('"', "\\u0022"),
        ('\\', "\\\\"),
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\'', "\\u0027"),
        ('+', "\\u002b"),
        ('`', "\\u0060"),
    ],
];

const HTML: [Escapes; 8] = [
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
    ],
    // Python, Jinja
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#x27;"),
    ],
    // Express, Rails, Go but for the quotation mark
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&#34;"),
        ('\'', "&#39;"),
    ],
    // PHP
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#039;"),
    ],
    // Go
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&#34;"),
        ('\'', "&#39;"),
        ('+', "&#43;"),
    ],
    // .NET
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#x27;"),
        ('+', "&#x2b;"),
    ],
];

/// All forms of `text` that are long enough, each once.
pub(super) fn of(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![bytes.to_vec(), HEXLOWER.encode(bytes).into_bytes()];
    for before in 0..3 {
        for encoding in [&BASE64, &BASE64URL] {
            forms.push(aligned(encoding, bytes, before));
        }
    }
    // Forms (application/x-www-form-urlencoded); the search undoes percent-encoding itself.
    forms.push(text.replace(' ', "+").into_bytes());
    for escapes in JSON.into_iter().chain(HTML) {
        forms.push(escaped(text, escapes).into_bytes());
    }
    for escapes in JSON {
        forms.push(ascii(&escaped(text, escapes)).into_bytes());
    }
    forms.push(wide(text));
    forms.retain(|form| form.len() >= SHORTEST);
    for form in &mut forms {
        form.make_ascii_lowercase();
    }
    forms.sort();
    forms.dedup();
    forms
}

/// What of base64 depends on `bytes` alone when `before` bytes stand before them, and any after them.
fn aligned(encoding: &data_encoding::Encoding, bytes: &[u8], before: usize) -> Vec<u8> {
    let mut padded = vec![0; before];
    padded.extend(bytes);
    let (first, last) = ((8 * before).div_ceil(6), 8 * padded.len() / 6);
    let encoded = encoding.encode(&padded).into_bytes();
    encoded.get(first..last).unwrap_or_default().to_vec()
}

fn escaped(text: &str, escapes: Escapes) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match escapes.iter().find(|(from, _)| *from == c) {
            Some((_, to)) => out.push_str(to),
            None => out.push(c),
        }
    }
    out
}

/// `\uXXXX` for what is not ASCII (RFC 8259 section 7).
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// UTF-16. For ASCII without its outer zero byte, which makes one form of both byte orders.
fn wide(text: &str) -> Vec<u8> {
    let mut out: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    if text.is_ascii() {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether some form of `text` stands in what an origin said.
    fn has(text: &str, said: &[u8]) -> bool {
        let said = said.to_ascii_lowercase();
        of(text)
            .iter()
            .any(|form| said.windows(form.len()).any(|window| window == form))
    }

    #[test]
    fn what_servers_make_of_a_text_is_a_form_of_it() {
        let text = "sk/test+\"51'H<8>\\v&U 2=eZ~";
        for said in [
            "x sk/test+\"51'H<8>\\v&U 2=eZ~ y",
            "SK/TEST+\"51'H<8>\\V&U 2=EZ~",
            r#"{"a":"sk/test+\"51'H<8>\\v&U 2=eZ~"}"#,
            r#"{"a":"sk\/test+\"51'H<8>\\v&U 2=eZ~"}"#,
            r#"{"a":"sk/test+\"51'H\u003c8\u003E\\v\u0026U 2=eZ~"}"#,
            r#"{"a":"sk/test+\"51\u0027H\u003c8\u003e\\v\u0026U 2\u003deZ~"}"#,
            r#"{"a":"sk/test\u002B\u002251\u0027H\u003C8\u003E\\v\u0026U 2=eZ~"}"#,
            "<p>sk/test+\"51'H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
            "<p>sk/test+&quot;51&#39;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
            "<p>sk/test+&quot;51&#x27;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
            "<p>sk/test+&quot;51&#039;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
            "<p>sk/test+&#34;51&#39;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
            "<p>sk/test&#43;&#34;51&#39;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
            "<p>sk/test&#x2B;&quot;51&#x27;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        ] {
            assert!(has(text, said.as_bytes()), "{said}");
        }
        for byte in *b"abc" {
            let around = [&[byte; 5], text.as_bytes(), &[byte; 4]].concat();
            for skip in 0..3 {
                let bytes = around.get(skip..).unwrap_or_default();
                for encoding in [BASE64, BASE64URL, data_encoding::BASE64_NOPAD, HEXLOWER] {
                    assert!(has(text, encoding.encode(bytes).as_bytes()));
                }
                assert!(has(text, data_encoding::HEXUPPER.encode(bytes).as_bytes()));
            }
        }
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let wide: Vec<u8> = text.encode_utf16().flat_map(order).collect();
            assert!(has(text, &wide));
        }
        assert!(has("pässwörd", br"p\u00e4ssw\u00F6rd"));
        assert!(!has(text, b"sk/test+51H8vU2eZ and much else"));
    }

    #[test]
    fn short_forms_are_left_out() {
        assert!(of("abc").iter().all(|form| form.len() >= SHORTEST));
        assert!(!has("abcde", b"abcde") && has("abcdef", b"xabcdefx"));
        assert!(has("abcde", b"6162636465"));
        assert!(of("").is_empty());
    }
}
