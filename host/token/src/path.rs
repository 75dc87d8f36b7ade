//! Paths that are matched byte by byte, and the spellings that are never matched.

/// True if an origin cannot read `path` as another one than its bytes say.
///
/// Servers differ over dot segments, empty segments, encoded separators and backslashes; a path that
/// holds any of them could match a pattern here and be another resource there.
pub(crate) fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let bytes = path
        .bytes()
        .all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'?' | b'#'));
    let mut segments = rest.split('/').rev();
    let last = segments.next().unwrap_or_default();
    let escapes = path.split('%').skip(1).all(|after| match after.as_bytes() {
        [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            let code = (*high, low.to_ascii_lowercase());
            !matches!(code, (b'2', b'e' | b'f') | (b'5', b'c'))
        }
        _ => false,
    });
    let dots = |segment: &str| segment == "." || segment == "..";
    bytes && escapes && !dots(last) && segments.all(|segment| !segment.is_empty() && !dots(segment))
}

/// True if `pattern` is a plain path, or a plain path and a `*` at its end.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let base = pattern.strip_suffix('*').unwrap_or(pattern);
    is_plain(base) && !base.contains('*')
}

/// True if `path` is plain and `pattern` stands for it: the prefix before a final `*`, else the whole.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    is_pattern(pattern)
        && is_plain(path)
        && match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        }
}

/// True if every path that matches `a` matches `b`.
pub(crate) fn within(a: &str, b: &str) -> bool {
    match b.strip_suffix('*') {
        Some(prefix) => a.strip_suffix('*').unwrap_or(a).starts_with(prefix),
        None => a == b,
    }
}

/// True if some path matches both patterns.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_suffix('*'), b.strip_suffix('*')) {
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
        (Some(prefix), None) => b.starts_with(prefix),
        (None, Some(prefix)) => a.starts_with(prefix),
        (None, None) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_bytes() {
        for (pattern, path, expected) in [
            ("/v1/*", "/v1/", true),
            ("/v1/*", "/v1/charges", true),
            ("/v1/*", "/v1/a/b/", true),
            ("/v1/*", "/v1", false),
            ("/v1/*", "/v2/", false),
            ("/v1/*", "/V1/", false),
            ("/v1/charges", "/v1/charges", true),
            ("/v1/charges", "/v1/charges/", false),
            ("/v1/charges", "/v1/charges2", false),
            ("/*", "/", true),
            ("/", "/", true),
            ("/", "/a", false),
            ("/v1/*", "/v1/a%20b", true),
            ("/v1/*", "/v1/.well-known", true),
            ("/v1/*", "/v1/...", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn ambiguous_spellings_never_match() {
        for path in [
            "",
            "v1/a",
            "//v1/a",
            "/v1//a",
            "/v1/a//",
            "/v1/../admin",
            "/v1/..",
            "/v1/.",
            "/v1/./a",
            "/v1/%2e%2e/admin",
            "/v1/%2E./admin",
            "/v1/a%2fb",
            "/v1/a%2Fb",
            "/v1/a%5cb",
            "/v1/a%5Cb",
            "/v1/a\\b",
            "/v1/a?b",
            "/v1/a#b",
            "/v1/a b",
            "/v1/ä",
            "/v1/a\n",
            "/v1/%",
            "/v1/%2",
            "/v1/%zz",
            "*",
        ] {
            assert!(!matches("/*", path), "{path}");
            assert!(!matches(path, path), "{path}");
        }
        assert!(
            is_pattern("/v1/*")
                && !is_pattern("/*/b")
                && !is_pattern("/v1/**")
                && !is_pattern("/v1/.*")
        );
    }

    #[test]
    fn overlaps_are_seen() {
        assert!(
            overlap("/a/*", "/a/b/*")
                && overlap("/a/b", "/a/*")
                && overlap("/a", "/a")
                && overlap("/*", "/x")
        );
        assert!(!overlap("/a/*", "/b/*") && !overlap("/a", "/a/*") && !overlap("/a", "/b"));
    }
}
