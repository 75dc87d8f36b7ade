#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use webtask_token::Secret;

use super::*;

mod escaped;
mod naive;

use escaped::{ESCAPERS, encoded, escaped, in_lines};

const VALUE: &str = "sk+live/51H8\"xv&U2eZ";

fn search_for(value: &str, formats: &[&str]) -> Arc<Search> {
    let slots = formats
        .iter()
        .map(|format| format!("GET https://h.test/ a: {format}").parse().unwrap());
    let claim = SecretClaim {
        value: Secret::new(value.to_owned()),
        slots: slots.collect(),
    };
    let readable = SecretClaim {
        value: Secret::new("readable-value".to_owned()),
        slots: Vec::new(),
    };
    let secrets = [("key".to_owned(), claim), ("other".to_owned(), readable)];
    Arc::new(Search::new(&secrets.into()).unwrap())
}

/// All forms of the value and of its credentials.
fn forms(value: &str) -> Vec<Vec<u8>> {
    forms::of_credential(value)
}

/// What passes when `body` comes in pieces that end at `cuts`; and whether the scan found something.
fn passed(search: &Arc<Search>, body: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
    let mut scan = Scan::new(search.clone());
    let mut out = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([body.len()]) {
        match scan.push(Bytes::copy_from_slice(&body[from..to])) {
            Ok(bytes) => out.extend(bytes),
            Err(found) => {
                assert_eq!(&*found.name, "key");
                return (out, true);
            }
        }
        from = to;
    }
    out.extend(scan.end());
    (out, false)
}

#[test]
fn every_form_is_found_at_every_split() {
    let search = search_for(VALUE, &["Bearer {}", "basic:user"]);
    for form in forms(VALUE) {
        let body = [&b"{\"a\": \""[..], &form, b"\"}\n"].concat();
        let start = naive::first(&forms(VALUE), &body).unwrap();
        for cut in 0..=body.len() {
            let (out, found) = passed(&search, &body, &[cut]);
            assert!(
                found && out.len() <= start && body.starts_with(&out),
                "{cut} {body:?}"
            );
        }
        let bytes: Vec<usize> = (1..body.len()).collect();
        let (out, found) = passed(&search, &body, &bytes);
        assert!(found && out.len() <= start);
        assert!(
            search.check(&body).is_err()
                && search.check(&form[1..form.len() - 1]).is_ok()
                    == naive::first(&forms(VALUE), &form[1..form.len() - 1]).is_none()
        );
    }
    assert!(search.check(b"readable-value").is_ok());
}

/// Encoders differ in what they leave: any subset is found.
#[test]
fn percent_encoding_is_undone_whatever_it_leaves() {
    let search = search_for(VALUE, &["Bearer {}", "basic:user"]);
    let credential = data_encoding::BASE64.encode(format!("user:{VALUE}").as_bytes());
    for text in [VALUE, &credential, &VALUE.to_uppercase()] {
        for keep in [
            |_| false,
            |byte: u8| byte.is_ascii_alphanumeric(),
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte),
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte),
            |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte),
            |byte: u8| byte.is_ascii_alphanumeric() || b"$&+=:@-_.~".contains(&byte),
            |byte: u8| byte.is_multiple_of(3),
        ] {
            for form in [
                encoded(text.as_bytes(), keep),
                encoded(text.as_bytes(), keep).to_ascii_lowercase(),
            ] {
                let body = [b"x%3", &form[..], b"%"].concat();
                for cut in 0..=body.len() {
                    let (out, found) = passed(&search, &body, &[cut]);
                    assert!(found && out.len() <= 3, "{cut} {body:?}");
                }
            }
        }
    }
    let spaced = search_for("two words of it", &["{}"]);
    assert!(
        spaced.check(b"two+words+of+it").is_err() && spaced.check(b"two%20words+of%20it").is_ok()
    );
    assert!(search.check(b"%q7%%%4%").is_ok());
}

/// A few bytes that begin like forms, and breaks between: what a scan gets wrong if it gets anything wrong.
#[test]
fn a_scan_finds_what_a_naive_search_finds() {
    let value = "ababac";
    let (search, forms) = (search_for(value, &["{}", "basic:user"]), forms(value));
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below).unwrap()
    };
    let mut hits = 0;
    for _ in 0..6_000 {
        let mut body = Vec::new();
        for _ in 0..next(8) {
            match next(6) {
                0 => body.push(b"ab\n\0c%61\\=&\r "[next(13)]),
                1 => body.extend(b"abab"),
                2 => {
                    let kept = next(4) as u8 + 1;
                    let form = &forms[next(forms.len() as u64)];
                    let keep = |byte: u8| byte.is_multiple_of(kept);
                    let escaper = ESCAPERS[next(ESCAPERS.len() as u64)];
                    let mut said = escaped(form, escaper, keep);
                    if next(2) == 0 {
                        let escaper = ESCAPERS[next(ESCAPERS.len() as u64)];
                        said = escaped(&said, escaper, |byte| byte.is_ascii_alphanumeric());
                    }
                    body.extend(said);
                }
                3 => {
                    let ends = ["\n", "\r\n ", "=\n", "\\\r\n", "\\n", "\n\n"][next(6)];
                    let form = &forms[next(forms.len() as u64)];
                    body.extend(vec![b'.'; [0, 48][next(2)]]);
                    body.extend(in_lines(form, next(9) + 1, ends));
                }
                _ => {
                    let form = &forms[next(forms.len() as u64)];
                    body.extend(&form[..next(form.len() as u64)]);
                }
            }
        }
        let mut cuts: Vec<usize> = (0..next(6)).map(|_| next(body.len() as u64 + 1)).collect();
        cuts.sort_unstable();
        let (out, found) = passed(&search, &body, &cuts);
        match naive::first(&forms, &body) {
            None => assert!(!found && out == body, "{body:?} {cuts:?}"),
            Some(start) => {
                hits += 1;
                assert!(
                    found && out.len() <= start && body.starts_with(&out),
                    "{body:?} {cuts:?}"
                );
            }
        }
    }
    assert!((1_000..5_500).contains(&hits), "{hits}");
}

/// Whoever sees when bytes pass must not see what the secret begins with.
#[test]
fn what_is_held_back_does_not_depend_on_the_value() {
    let one = search_for("sk_live_0123456789", &["Bearer {}"]);
    let other = search_for("zz-ZZZZ-987654321X", &["Bearer {}"]);
    for body in [
        "sk_live_",
        "a sk_live_01234567",
        "\n",
        "data: s\n\n",
        "data: sk",
        "x\nsk_liv\ny",
        "sk_\n li\r\nve",
        "sk%5flive%5",
        "sk\\u005fliv",
        "c2tfbGl\n2ZV8w",
        "&#115;k_l",
        "sk=5Flive=\r\n_0",
        "%2573k",
        "",
    ] {
        for cut in 0..=body.len() {
            let pieces = |search: &Arc<Search>| {
                let mut scan = Scan::new(search.clone());
                let (a, b) = body.as_bytes().split_at(cut);
                [a, b].map(|piece| scan.push(Bytes::copy_from_slice(piece)).unwrap())
            };
            assert_eq!(pieces(&one), pieces(&other), "{body:?} {cut}");
        }
    }
}

#[test]
fn lines_pass_at_once_and_the_rest_at_the_end() {
    let search = search_for("sk_live_0123456789", &["Bearer {}"]);
    let mut scan = Scan::new(search.clone());
    assert_eq!(
        scan.push(Bytes::from_static(b"data: s\n\n")).unwrap(),
        "data: s\n\n"
    );
    assert_eq!(scan.push(Bytes::from_static(b"data: sk_")).unwrap(), "");
    assert_eq!(
        scan.push(Bytes::from_static(b"live\n\nda")).unwrap(),
        "data: sk_live\n\n"
    );
    assert_eq!(scan.end(), "da");
    let long = vec![b'x'; 1 << 20];
    let mut scan = Scan::new(search.clone());
    let out = scan.push(long.clone().into()).unwrap();
    assert!(out.len() < long.len() && scan.held.len() < ESCAPED * search.longest);
    assert_eq!(out.len() + scan.end().len(), long.len());
}

/// No token makes the host search for long: here is as much as fits in one, in the form that costs most.
#[test]
fn the_forms_of_a_whole_token_are_few_and_the_end_of_a_long_one_goes_with_its_beginning() {
    let value = "pä\"<ss+w/&'`=".repeat(400);
    let slot = |n: usize| {
        format!("GET https://h.test/{n} a: basic:u{n}")
            .parse()
            .unwrap()
    };
    let claim = SecretClaim {
        value: Secret::new(value.clone()),
        slots: (0..100).map(slot).collect(),
    };
    let search = Search::new(&[("key".to_owned(), claim)].into()).unwrap();
    println!(
        "{search:?}, {} bytes, the longest {}",
        search.memory(),
        search.longest
    );
    assert!(search.memory() < 16 << 20 && search.longest <= 6 * BEGINNING);
    assert!(search.check(value.as_bytes()).is_err());
    // As many as a token of 8 KiB may hold, and more.
    for (count, fits) in [(20, true), (150, true), (4_000, false)] {
        let claim = |n: usize| SecretClaim {
            value: Secret::new(format!("{n:04}-{}", "v/".repeat(3_000 / count))),
            slots: vec!["GET https://h.test/ a: basic:u".parse().unwrap()],
        };
        let secrets = (0..count).map(|n| (format!("key{n:04}"), claim(n)));
        let search = Search::new(&secrets.collect());
        assert_eq!(search.is_ok(), fits, "{count}");
        let Ok(search) = search else { continue };
        println!(
            "{search:?}, {} bytes, the longest {}",
            search.memory(),
            search.longest
        );
        assert!(search.memory() < 16 << 20);
        let said = format!("say {}", claim(7).value.expose());
        let found = search.check(said.as_bytes()).unwrap_err();
        assert_eq!(&*found.name, "key0007");
    }
}

/// However small the pieces are, they do not add up: what is held is kept in little more than its own size.
#[test]
fn small_pieces_take_no_more_memory_than_what_is_held() {
    let search = search_for("sk_live_0123456789", &["Bearer {}"]);
    let most = search.most_held();
    for size in [1, 7, most, most + 1] {
        let mut scan = Scan::new(search.clone());
        let mut passed = 0;
        for _ in 0..10_000 / size + 40 {
            passed += scan.push(vec![b'x'; size].into()).unwrap().len();
            assert!(
                scan.held.len() <= most && scan.held.capacity() <= 8 * most,
                "{size} {scan:?}"
            );
        }
        assert_eq!(passed + scan.end().len(), (10_000 / size + 40) * size);
    }
}

#[test]
fn a_search_shows_nothing_and_may_be_for_nothing() {
    let search = search_for(VALUE, &["{}"]);
    let shown = format!("{search:?} {:?}", Scan::new(search.clone()));
    assert!(!shown.contains("live"), "{shown}");
    let nothing = Arc::new(Search::new(&BTreeMap::new()).unwrap());
    assert!(nothing.check(b"anything").is_ok());
    assert_eq!(
        passed(&nothing, b"anything", &[3]),
        (b"anything".to_vec(), false)
    );
}
