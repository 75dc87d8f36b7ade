//! `oci://` URLs: a component in a registry, in one spelling only.

use crate::origin::after_canonical;

/// The longest name of a repository (OCI distribution specification 1.1, "Pulling manifests").
const MAX_REPOSITORY: usize = 255;

/// A component in a registry: `oci://registry.example.com/team/task:1.0@sha256:…`.
///
/// The digest of the URL is that of the *manifest*; the claim `sha256` is that of the component's bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Image<'a> {
    /// Host and port of the registry, as of an `https` URL.
    pub registry: &'a str,
    /// The name of the repository, without a `/` before it.
    pub repository: &'a str,
    /// The tag, which may come to mean something else.
    pub tag: Option<&'a str>,
    /// The SHA-256 of the manifest, 64 lower-case hexadecimal digits.
    pub digest: Option<&'a str>,
}

impl<'a> Image<'a> {
    /// Splits an `oci://` URL (SPEC.md section 8.1); `None` if it is not one.
    pub fn parse(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("oci://")?;
        let (registry, path) = rest.split_at(rest.find('/')?);
        // In the spelling of an https URL of that host and port.
        let https = format!("https://{registry}");
        after_canonical(&https).filter(|rest| rest.is_empty())?;
        let name = path.strip_prefix('/')?;
        let (name, digest) = match name.split_once('@') {
            Some((name, digest)) => (name, Some(digest.strip_prefix("sha256:")?)),
            None => (name, None),
        };
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        let named = tag.is_some() || digest.is_some();
        let valid = named
            && is_repository(repository)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_sha256);
        valid.then_some(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&text.len()) && text.bytes().all(byte) && !text.starts_with(['.', '-'])
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.
fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY && text.split('/').all(is_component)
}

fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    let separated = bytes
        .split(|b| word(*b))
        .all(|between| matches!(between, b"" | b"." | b"_" | b"__") || all_dashes(between));
    ends.iter().all(|end| end.is_some_and(|b| word(*b))) && separated
}

fn all_dashes(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == b'-')
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_registry_a_repository_and_a_tag_or_digest() {
        let digest = "ab".repeat(32);
        let url = format!("oci://h.test:5000/team/my-task__2:v1.0@sha256:{digest}");
        let image = Image::parse(&url).unwrap();
        assert_eq!(image.registry, "h.test:5000");
        assert_eq!(image.repository, "team/my-task__2");
        assert_eq!(image.tag, Some("v1.0"));
        assert_eq!(image.digest, Some(digest.as_str()));
        for good in [
            "oci://h/a:1",
            "oci://127.0.0.1:5000/a/b/c:latest",
            "oci://[::1]:5000/a---b.c:_x",
            &format!("oci://h/a@sha256:{digest}"),
        ] {
            assert!(Image::parse(good).is_some(), "{good}");
        }
        for bad in [
            "oci://h/a",
            "oci://h",
            "oci://h/",
            "oci:///a:1",
            "oci://H/a:1",
            "oci://h:443/a:1",
            "oci://u@h/a:1",
            "oci://*.h.test/a:1",
            "oci://h/A:1",
            "oci://h//a:1",
            "oci://h/a/:1",
            "oci://h/../a:1",
            "oci://h/a..b:1",
            "oci://h/a___b:1",
            "oci://h/a-:1",
            "oci://h/a:",
            "oci://h/a:.x",
            "oci://h/a:1?x",
            "oci://h/a:1:2",
            "oci://h/a@sha256:AB",
            "oci://h/a@sha512:ab",
            "oci+http://h/a:1",
            "https://h/a:1",
            &format!("oci://h/a@sha256:{}", digest.to_uppercase()),
            &format!("oci://h/a@sha256:{digest}@sha256:{digest}"),
            &format!("oci://h/{}:1", "a".repeat(256)),
            &format!("oci://h/a:{}", "x".repeat(129)),
        ] {
            assert_eq!(Image::parse(bad), None, "{bad}");
        }
    }
}
