//! The forms in which software sends a text back: encoded, widened.
//!
//! The search takes upper and lower case as one, and undoes escapes: neither is a form.

use data_encoding::{BASE64, BASE64URL, HEXLOWER};

/// Bytes of the shortest form that is searched: shorter ones stand in any response by chance.
pub const SHORTEST: usize = 6;

/// All forms of `text` that are long enough, each once.
pub(super) fn of(text: &str) -> Vec<Vec<u8>> {
    finished(raw(text))
}

/// All forms of a value, and of the credentials of HTTP Basic that it stands in: whatever is before it there, what
/// of base64 is its own is one of three texts.
pub(super) fn of_credential(value: &str) -> Vec<Vec<u8>> {
    let mut forms = raw(value);
    for before in 0..3 {
        let own = aligned(&BASE64, value.as_bytes(), before);
        forms.extend(raw(&String::from_utf8_lossy(&own)));
    }
    finished(forms)
}

fn raw(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![bytes.to_vec(), HEXLOWER.encode(bytes).into_bytes()];
    for before in 0..3 {
        for encoding in [&BASE64, &BASE64URL] {
            forms.push(aligned(encoding, bytes, before));
        }
    }
    // Forms (application/x-www-form-urlencoded); the search undoes percent-encoding itself.
    forms.push(text.replace(' ', "+").into_bytes());
    forms.push(wide(text));
    if !text.is_ascii() {
        forms.push(surrogates(text));
        let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
        forms.extend(latin);
    }
    forms
}

fn finished(mut forms: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
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
    let first = before.saturating_mul(8).div_ceil(6);
    let last = padded.len().saturating_mul(8) / 6;
    let encoded = encoding.encode(&padded).into_bytes();
    encoded.get(first..last).unwrap_or_default().to_vec()
}

/// UTF-8 of the halves of surrogate pairs, which is what `\ud83d\ude00` is (RFC 8259 section 7).
fn surrogates(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        let mut units = [0; 2];
        match c.encode_utf16(&mut units) {
            [_] => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            pair => {
                for unit in pair {
                    let low = |shift: u16| 0x80 | u8::try_from(*unit >> shift & 0x3f).unwrap_or(0);
                    out.extend([0xed, low(6), low(0)]);
                }
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
        assert!(has(text, text.to_uppercase().as_bytes()));
        assert!(has("pässwörd", b"p\xe4ssw\xf6rd"));
        assert!(has("two words", b"two+words"));
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
