//! What escapers write, and that each is undone, alone and over another.

use super::*;

/// What writes one byte in another way.
pub(super) type Escaper = fn(u8) -> String;

pub(super) const ESCAPERS: [Escaper; 17] = [
    |byte| format!("%{byte:02X}"),
    |byte| format!("%{byte:02x}"),
    |byte| format!("%u{byte:04x}"),
    |byte| format!("={byte:02X}"),
    |byte| format!("\\u{byte:04x}"),
    |byte| format!("\\u{byte:04X}"),
    |byte| format!("\\u{{{byte:x}}}"),
    |byte| format!("\\x{byte:02x}"),
    |byte| format!("\\x{{{byte:02x}}}"),
    |byte| format!("\\{byte:03o}"),
    |byte| format!("&#{byte};"),
    |byte| format!("&#{byte:03};"),
    |byte| format!("&#x{byte:x};"),
    |byte| format!("&#X{byte:04X};"),
    |byte| format!("&#x{byte:02x}"),
    |byte| match byte {
        b'&' => "&amp;".to_owned(),
        b'<' => "&lt;".to_owned(),
        b'"' => "&quot;".to_owned(),
        b'+' => "&plus;".to_owned(),
        b'/' => "&sol;".to_owned(),
        b'=' => "&equals;".to_owned(),
        _ => char::from(byte).to_string(),
    },
    |byte| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("\\{}", char::from(byte)),
    },
];

pub(super) fn escaped(bytes: &[u8], escaper: Escaper, keep: impl Fn(u8) -> bool) -> Vec<u8> {
    let each = |byte: &u8| {
        if keep(*byte) || !byte.is_ascii() {
            vec![*byte]
        } else {
            escaper(*byte).into_bytes()
        }
    };
    bytes.iter().flat_map(each).collect()
}

/// In lines of so many bytes.
pub(super) fn in_lines(bytes: &[u8], width: usize, ends: &str) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.chunks(width).collect();
    lines.join(ends.as_bytes())
}

pub(super) fn encoded(bytes: &[u8], keep: impl Fn(u8) -> bool) -> Vec<u8> {
    escaped(bytes, ESCAPERS[0], keep)
}

/// The value and the texts that it is in base64, as one escaper or two write them: all of their characters, or but
/// letters and digits.
#[test]
fn every_escaper_is_undone_and_two_as_well() {
    let search = search_for(VALUE, &["Bearer {}", "basic:user"]);
    let credential = data_encoding::BASE64.encode(format!("user:{VALUE}").as_bytes());
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    for text in [VALUE, &credential, &VALUE.to_uppercase()] {
        for (inner, of_inner) in ESCAPERS.iter().zip(0..) {
            let whole = escaped(text.as_bytes(), *inner, |_| false);
            let usual = escaped(text.as_bytes(), *inner, plain);
            for said in [&whole, &usual] {
                assert_cut(&search, said);
            }
            for (outer, of_outer) in ESCAPERS.iter().zip(0..) {
                let twice = escaped(&usual, *outer, plain);
                assert!(search.check(&twice).is_err(), "{of_outer} of {of_inner}");
                assert!(
                    search.check(&escaped(&whole, *outer, |_| false)).is_err(),
                    "{of_outer} of {of_inner}"
                );
                if of_outer == (of_inner + 1) % ESCAPERS.len() {
                    assert_cut(&search, &twice);
                }
            }
        }
    }
}

/// However the pieces are cut, and however much is before.
fn assert_cut(search: &Arc<Search>, said: &[u8]) {
    for before in [3, 2 * search.most_held()] {
        let body = [&vec![b'.'; before][..], said, b"..\n"].concat();
        let step = body.len() / 500 + 1;
        for cut in (before..body.len()).step_by(step) {
            let (out, found) = passed(search, &body, &[cut]);
            assert!(found && out.len() <= before, "{cut} {body:?}");
        }
    }
    let bytes: Vec<usize> = (1..said.len()).collect();
    assert!(
        passed(search, said, &bytes) == (Vec::new(), true),
        "{said:?}"
    );
}

#[test]
fn lines_are_joined() {
    let value = VALUE.repeat(6);
    let search = search_for(&value, &["Bearer {}", "basic:user"]);
    let credential = data_encoding::BASE64.encode(format!("user:{value}").as_bytes());
    let hex = data_encoding::HEXLOWER.encode(value.as_bytes());
    let wrapped = data_encoding::BASE64.encode(&[b"around", value.as_bytes(), b"it"].concat());
    let texts = [&credential, &hex, &wrapped].map(String::as_bytes);
    for width in [48, 60, 64, 72, 76, 77] {
        for ends in ["\n", "\r\n", "\r", "\n  ", "\r\n\t"] {
            for text in texts {
                assert_cut(&search, &in_lines(text, width, ends));
            }
        }
    }
    for width in [1, 2, 3, 7, 16, 64] {
        // Soft breaks, breaks in texts of JSON, and in the attributes of XML.
        for ends in [
            "=\n", "=\r\n", "\\\n", "\\\r\n", "\\n", "\\r\\n", "&#10;", "&#xA;", "%0A", "%0D%0A",
        ] {
            for text in texts {
                assert_cut(&search, &in_lines(text, width, ends));
            }
        }
        let json = escaped(value.as_bytes(), ESCAPERS[4], |_| false);
        for ends in ["=\r\n", "\\\n"] {
            let said = in_lines(&json, width, ends);
            assert!(search.check(&said).is_err(), "{width} {ends:?}");
        }
    }
    for apart in ["\n\n", "\n \n", " \n", "\0", "}\n", "\t", "  "] {
        let said = in_lines(credential.as_bytes(), 64, apart);
        assert!(search.check(&said).is_ok(), "{apart:?}");
    }
    let short = in_lines(credential.as_bytes(), 47, "\n");
    assert!(search.check(&short).is_ok(), "short lines pass at once");
}

/// What stands before a text may look like the beginning of an escape that goes on in it.
#[test]
fn nothing_before_a_text_hides_its_beginning() {
    let value = "ab12-cafe-0451";
    let search = search_for(value, &["Bearer {}"]);
    let before = [
        "\\",
        "\\\\\\",
        "%",
        "%2",
        "=",
        "=4",
        "\\u",
        "\\u00",
        "\\u{",
        "\\x",
        "\\x{4",
        "\\1",
        "&",
        "&a",
        "&#",
        "&#x",
        "&#x4",
        "%5c",
        "%5cu0",
        "%26%23x",
        "=\r",
        "x\n ",
        "\\\\u00",
        "&amp;#x",
        "%25",
        "%%%",
        "%u00",
        "&&#&#x\\\\%",
    ];
    for (escaper, number) in ESCAPERS.iter().zip(0..) {
        for said in [
            escaped(value.as_bytes(), *escaper, |_| false),
            escaped(value.as_bytes(), *escaper, |byte| {
                byte.is_ascii_alphanumeric()
            }),
        ] {
            for before in before {
                let body = [before.as_bytes(), &said].concat();
                assert!(search.check(&body).is_err(), "{number} {before}");
            }
        }
    }
}

/// Readings are few, whatever comes: those of what is made to have many are counted.
#[test]
fn no_text_of_escapes_has_more_readings_than_are_followed() {
    let value = "ab12-".repeat(40);
    let value = value.as_str();
    let search = search_for(value, &["Bearer {}", "basic:user"]);
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random).unwrap() % below
    };
    let pieces = [
        "\\", "%", "=", "&", "#", "x", "u", "{", "}", ";", "0", "4", "a", "5c", "26", "amp;", "\n",
        "\\n", "ab12", "ab12-ca", "%5c", "\\u005c", "&#", "&#38;",
    ];
    let mut most = 0;
    for _ in 0..20_000 {
        let mut cursor = Cursor::new();
        for _ in 0..next(20) {
            if cursor
                .step(&search, pieces[next(pieces.len())].as_bytes())
                .is_err()
            {
                break;
            }
            most = most.max(cursor.readings());
        }
    }
    for ends in ["=\r\n", "\\\r\n", "%0a", "\\n", "%5c\r\n", "&#10;"] {
        let mut cursor = Cursor::new();
        let whole = in_lines(value.as_bytes(), 1, ends);
        for byte in whole.chunks(1) {
            most = most.max(cursor.readings());
            if cursor.step(&search, byte).is_err() {
                break;
            }
        }
    }
    println!("{most} readings at most");
    assert!((4..cursor::READINGS).contains(&most), "{most}");
}

#[test]
fn what_escapers_of_languages_write_is_undone() {
    let text = "sk/test+\"51'H<8>\\v&U 2=eZ~";
    let search = search_for(text, &["{}"]);
    for said in [
        r#"{"a":"sk/test+\"51'H<8>\\v&U 2=eZ~"}"#,
        r#"{"a":"sk\/test+\"51'H<8>\\v&U 2=eZ~"}"#,
        r#"{"a":"sk/test+\"51'H\u003c8\u003E\\v\u0026U 2=eZ~"}"#,
        r#"{"a":"sk/test+\"51\u0027H\u003c8\u003e\\v\u0026U 2\u003deZ~"}"#,
        r#"{"a":"sk/test\u002B\u002251\u0027H\u003C8\u003E\\v\u0026U 2=eZ~"}"#,
        r#"{\"a\":\"sk/test+\\\"51'H<8>\\\\v&U 2=eZ~\"}"#,
        "<p>sk/test+\"51'H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        "<p>sk/test+&quot;51&#39;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        "<p>sk/test+&quot;51&#x27;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        "<p>sk/test+&quot;51&#039;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        "<p>sk/test&#43;&#34;51&#39;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        "<p>sk/test&#x2B;&quot;51&#x27;H&lt;8&gt;\\v&amp;U 2=eZ~</p>",
        "<p>sk&#x2F;test&#43;&quot;51&apos;H&lt;8&gt;&bsol;v&amp;U 2&#x3D;eZ&#x7E;</p>",
        r"sk/test+\x2251\x27H\x3C8\x3E\x5Cv\x26U\x202\x3DeZ~",
        r"$'sk/test+\04251\047H<8>\\v&U 2=eZ~'",
        r#"sk/test+\"51\'H\<8\>\\v\&U\ 2=eZ\~"#,
        "sk/test+\"51'H<8>\\v&U 2=3D=\r\neZ~",
        "sk%2Ftest%2B%2251%27H%3C8%3E%5Cv%26U+2%3DeZ~",
        "sk%252Ftest%252B%252251%2527H%253C8%253E%255Cv%2526U%25202%253DeZ~",
    ] {
        assert!(search.check(said.as_bytes()).is_err(), "{said}");
    }
    for (value, said) in [
        ("-begins=so", &br"a \-begins\=so"[..]),
        ("\tbegins=so", br"a \tbegins=so"),
        ("pässwörd", br"p\u00e4ssw\u00F6rd"),
        ("pässwörd", br"p\xe4ssw\xf6rd"),
        ("pässwörd", br"p\xc3\xa4ssw\303\266rd"),
        ("pässwörd", b"p%E4ssw%F6rd"),
        ("pässwörd", b"p&#228;ssw&#xF6;rd"),
        ("pass😀word", br"pass\ud83d\ude00word"),
        ("pass😀word", br"pass\u{1F600}word"),
        ("pass😀word", br"pass\U0001f600word"),
        ("pass😀word", b"pass&#128512;word"),
    ] {
        let search = search_for(value, &["hmac-sha256:{}"]);
        assert!(search.check(said).is_err(), "{value}");
    }
}
