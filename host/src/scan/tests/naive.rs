//! What a search must find, said in another way: all ways of reading some bytes as a graph, and every form looked for
//! from every place in it.

/// Where a form begins and ends, in bytes of the body.
type Place = std::ops::Range<usize>;

/// `(from, to, what the bytes between are read as)`.
type Edge = (usize, usize, Vec<u8>);

/// Where the first form begins that is whole first, however it is escaped.
pub(super) fn first(forms: &[Vec<u8>], body: &[u8]) -> Option<usize> {
    let body = body.to_ascii_lowercase();
    let places = segments(&body).into_iter().flat_map(|segment| {
        let bytes = &body[segment.clone()];
        let plain = (0..bytes.len())
            .map(|at| (at, at + 1, vec![bytes[at]]))
            .collect();
        let read = undone(undone(plain, bytes.len()), bytes.len());
        let found = matches(&read, bytes.len(), forms);
        found
            .into_iter()
            .map(move |place| place.start + segment.start..place.end + segment.start)
    });
    let first = places.min_by_key(|place| (place.end, place.start));
    first.map(|place| place.start)
}

/// Between control characters, but for line breaks after `=` and `\`, and after a letter, a digit or one of `+/-_`
/// in a line of at least 48 bytes.
fn segments(body: &[u8]) -> Vec<Place> {
    let mut segments = Vec::new();
    let (mut from, mut at, mut line) = (0, 0, 0);
    while at < body.len() {
        let last = at.checked_sub(1).map_or(0, |at| body[at]);
        let long = at - line >= 48 && (last.is_ascii_alphanumeric() || b"+/-_".contains(&last));
        let wraps = long || b"=\\".contains(&last);
        if b"\r\n".contains(&body[at]) {
            line = at + 1;
        }
        let rest = &body[at..];
        let soft = if wraps && rest.starts_with(b"\r\n") {
            2
        } else {
            usize::from(wraps && matches!(rest[0], b'\r' | b'\n'))
        };
        if soft > 0 {
            at += soft;
            line = at;
            at += body[at..]
                .iter()
                .take_while(|byte| b" \t".contains(byte))
                .count();
        } else {
            // In UTF-16, zero is half of a letter.
            if rest[0].is_ascii_control() && rest[0] != 0 {
                segments.push(from..at);
                from = at + 1;
            }
            at += 1;
        }
    }
    segments.push(from..body.len());
    segments
}

/// The edges, and one for each way from a place that spells an escape.
fn undone(edges: Vec<Edge>, places: usize) -> Vec<Edge> {
    let mut from: Vec<Vec<(usize, Vec<u8>)>> = vec![Vec::new(); places + 1];
    for (place, to, bytes) in &edges {
        from[*place].push((*to, bytes.clone()));
    }
    let mut all = edges;
    for place in 0..places {
        let mut ways = vec![(place, Vec::new())];
        while let Some((at, said)) = ways.pop() {
            for (to, bytes) in &from[at] {
                let said = [&said[..], bytes].concat();
                if let Some(meaning) = meaning(&said) {
                    all.push((place, *to, meaning));
                }
                if !bytes.is_empty() && at == place && !b"%=\\&\r\n".contains(&said[0]) {
                    continue;
                }
                if said.len() < 11 && !said.is_empty() && may_go_on(&said) {
                    ways.push((*to, said));
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Whether some escape is longer.
fn may_go_on(said: &[u8]) -> bool {
    let rest = &said[1..];
    match said[0] {
        b'%' | b'=' => rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"\r\n".contains(byte)),
        b'&' => rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#'),
        b'\\' => rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"{\r".contains(byte)),
        _ => rest.iter().all(|byte| b"\r\n\t ".contains(byte)),
    }
}

/// What a whole escape stands for.
fn meaning(said: &[u8]) -> Option<Vec<u8>> {
    let said: String = said.iter().map(|byte| char::from(*byte)).collect();
    let (first, rest) = said.split_at_checked(1)?;
    let base = |digits: &str, lengths: std::ops::RangeInclusive<usize>, base: u32| {
        let valid = lengths.contains(&digits.len()) && digits.chars().all(|c| c.is_digit(base));
        valid.then(|| u32::from_str_radix(digits, base).unwrap())
    };
    let byte = |number: u32| {
        u8::try_from(number)
            .ok()
            .map(|byte| vec![byte.to_ascii_lowercase()])
    };
    let char = |number: u32| {
        let c = char::from_u32(number).unwrap_or('\u{fffd}');
        Some(c.to_string().to_ascii_lowercase().into_bytes())
    };
    let braced = || rest.get(1..)?.strip_prefix('{')?.strip_suffix('}');
    let gone = ["\r", "\n", "\r\n"].contains(&rest).then(Vec::new);
    match first {
        "%" => match rest.strip_prefix('u') {
            Some(digits) => base(digits, 4..=4, 16).and_then(char),
            None => base(rest, 2..=2, 16).and_then(byte),
        },
        "=" => gone.or_else(|| base(rest, 2..=2, 16).and_then(byte)),
        "&" => {
            let digits = rest.strip_suffix(';').unwrap_or(rest);
            match (digits.strip_prefix("#x"), digits.strip_prefix('#')) {
                (Some(digits), _) => base(digits, 1..=7, 16).and_then(char),
                (None, Some(digits)) => base(digits, 1..=7, 10).and_then(char),
                (None, None) => {
                    let names = [
                        ("amp;", "&"),
                        ("lt;", "<"),
                        ("quot;", "\""),
                        ("equals;", "="),
                        ("plus;", "+"),
                        ("sol;", "/"),
                    ];
                    let known = names.iter().find(|(name, _)| *name == rest);
                    known.map(|(_, c)| c.as_bytes().to_vec())
                }
            }
        }
        "\\" if gone.is_some() => gone,
        "\\" => match rest.split_at_checked(1)? {
            ("u" | "x", _) if braced().is_some() => base(braced()?, 1..=6, 16).and_then(char),
            // The body is in lower case: what is `\U` of C is `\u` and four digits here.
            ("u", digits) => base(digits, 4..=4, 16).and_then(char),
            ("x", digits) => base(digits, 2..=2, 16).and_then(byte),
            ("0" | "1" | "2" | "3" | "4" | "5" | "6" | "7", _) => {
                base(rest, 3..=3, 8).and_then(byte)
            }
            ("n", "") => Some(vec![b'\n']),
            ("r", "") => Some(vec![b'\r']),
            ("t", "") => Some(vec![b'\t']),
            (other, "") => Some(other.chars().map(|c| c as u8).collect()),
            _ => None,
        },
        "\r" | "\n" => rest.chars().all(|c| "\r\n\t ".contains(c)).then(Vec::new),
        _ => None,
    }
}

/// Where a form is read along some way.
fn matches(edges: &[Edge], places: usize, forms: &[Vec<u8>]) -> Vec<Place> {
    let mut from: Vec<Vec<(usize, &[u8])>> = vec![Vec::new(); places + 1];
    for (place, to, bytes) in edges {
        from[*place].push((*to, bytes));
    }
    let mut found = Vec::new();
    for start in 0..places {
        for form in forms {
            let mut ways = vec![(start, 0)];
            let mut seen = std::collections::BTreeSet::new();
            while let Some((at, matched)) = ways.pop() {
                for (to, bytes) in &from[at] {
                    if !form[matched..].starts_with(bytes) || matched == 0 && bytes.is_empty() {
                        continue;
                    }
                    let matched = matched + bytes.len();
                    if matched == form.len() {
                        found.push(start..*to);
                    } else if seen.insert((*to, matched)) {
                        ways.push((*to, matched));
                    }
                }
            }
        }
    }
    found
}
