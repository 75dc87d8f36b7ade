//! Paths that are matched byte by byte, and the spellings that are never matched.

use data_encoding::HEXLOWER_PERMISSIVE;

/// True if no common server reads `path` as another one than its bytes say (SPEC.md section 8.3).
///
/// Servers differ over empty segments and segments of dots, over what stands after `;`, over dots and spaces at
/// the end of a name, and over what they decode, in which order, and how often. A path that holds any of
/// that could match a pattern here and be another resource there.
pub(crate) fn is_plain(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let byte = |b: u8| b.is_ascii_graphic() && !matches!(b, b'\\' | b'?' | b'#');
    // Only the last segment may be empty, or nothing but what stands after `;`.
    let mut segments = rest.as_bytes().rsplit(|b| *b == b'/');
    let last = segments.next().unwrap_or_default();
    let named = |segment: &[u8]| !matches!(segment, [] | [b';', ..]) && !is_dots(segment);
    path.bytes().all(byte)
        && !is_dots(last)
        && segments.all(named)
        && (!path.contains('%') || has_plain_escapes(path))
}

/// True for dots, and for dots before `;` or `%`: `..;x` is `..` to servers that know path parameters, and
/// `..%20` to those that drop spaces.
fn is_dots(segment: &[u8]) -> bool {
    let dots = segment.iter().take_while(|b| **b == b'.').count();
    dots > 0 && matches!(segment.get(dots), None | Some(b';' | b'%'))
}

/// True if all escapes are two hexadecimal digits and stand for bytes that mean nothing in a path, not even
/// to whoever decodes twice, and if they make UTF-8: `%C0%AE` is a dot to lenient decoders.
fn has_plain_escapes(path: &str) -> bool {
    let mut pieces = path.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let Some((digits, rest)) = piece.split_at_checked(2) else {
            return false;
        };
        match HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).as_deref() {
            Ok([byte]) if !byte.is_ascii_control() && !b"#%./;?\\".contains(byte) => {
                bytes.push(*byte);
            }
            _ => return false,
        }
        bytes.extend_from_slice(rest.as_bytes());
    }
    std::str::from_utf8(&bytes).is_ok()
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
            ("/v1/*", "/v1/..a", true),
            ("/v1/*", "/v1/a..", true),
            ("/v1/*", "/v1/a;v=1/b", true),
            ("/v1/*", "/v1/a..;/b", true),
            ("/v1/*", "/v1/;v=1", true),
            ("/v1/*", "/v1/~a!$&'()*+,:=@[]", true),
            ("/v1/*", "/v1/a%20b%2Cc%7E", true),
            ("/v1/*", "/v1/%C3%A4%e2%82%ac%F0%9F%98%80", true),
            ("/v1/a%20b", "/v1/a%20b", true),
            ("/v1/a%2Cb", "/v1/a%2cb", false),
            ("/v1/a", "/v1/%61", false),
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
            "/v1/%+1",
            "/v1/%\u{e4}",
            "/v1/...",
            "/v1/.../a",
            "/v1/..;/admin",
            "/v1/.;/admin",
            "/v1/..;",
            "/v1/..;v=1/admin",
            "/..;/v1/a",
            "/v1/;/admin",
            "/v1/;v=1/admin",
            "/v1/..%20/admin",
            "/v1/..%C2%A0",
            "/v1/.%61",
            "/v1/..%3b/admin",
            "/v1/a%3Bb",
            "/v1/%252e%252e/admin",
            "/v1/%25",
            "/v1/a%00",
            "/v1/a%0a",
            "/v1/a%0D",
            "/v1/a%1f",
            "/v1/a%7F",
            "/v1/a%3fb",
            "/v1/a%23b",
            "/v1/%c0%ae%c0%ae/admin",
            "/v1/a%C0%AFb",
            "/v1/a%e0%80%afb",
            "/v1/a%f0%80%80%afb",
            "/v1/%ff",
            "/v1/%C3",
            "/v1/%C3a",
            "/v1/%ed%a0%80",
            "*",
        ] {
            assert!(!matches("/*", path), "{path}");
            assert!(!matches(path, path), "{path}");
        }
        assert!(is_pattern("/v1/*") && is_pattern("/v1/a;*") && is_pattern("/v1/a%20*"));
        for pattern in [
            "/*/b", "/v1/**", "/v1/.*", "/v1/..;*", "/v1/%*", "/v1/%2*", "/v1/%C3*",
        ] {
            assert!(!is_pattern(pattern), "{pattern}");
        }
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
