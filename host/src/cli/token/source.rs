//! `--url`: from what was typed to the URL and the digest that are sealed.

use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use url::Url;

use super::hex;
use crate::cli::Failure;

/// Code as a token names it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) url: String,
    pub(super) sha256: Option<[u8; 32]>,
    /// The local file that the digest was computed of.
    pub(super) computed: Option<PathBuf>,
    /// The local file, if it is one; it may be on another machine.
    pub(super) file: Option<PathBuf>,
}

impl Source {
    /// No code: a token that issues.
    pub(super) fn none() -> Self {
        Self {
            url: String::new(),
            sha256: None,
            computed: None,
            file: None,
        }
    }
}

/// Makes paths absolute URLs, and pins what is not unpinned.
pub(super) fn resolve(text: &str, sha256: Option<&str>, unpinned: bool) -> Result<Source, Failure> {
    let given = sha256.map(parse_digest).transpose()?;
    let (url, file) = locate(text)?;
    let (sha256, computed) = match (given, file.clone()) {
        (None, _) if unpinned => (None, None),
        (None, Some(path)) => (Some(digest_or_hint(&path)?), Some(path)),
        (None, None) => {
            return Err(Failure::usage("a token without a digest runs whatever the URL serves")
                .hint("pin the code with --sha256 \"$(sha256sum < FILE | cut -c1-64)\", or ask for it with --unpinned"));
        }
        (Some(given), Some(path)) => {
            if let Ok(found) = digest(&path)
                && found != given
            {
                eprintln!(
                    "note: {} has the digest {}, not the one that was given",
                    path.display(),
                    hex(&found)
                );
            }
            (Some(given), None)
        }
        (Some(given), None) => (Some(given), None),
    };
    Ok(Source {
        url,
        sha256,
        computed,
        file,
    })
}

/// The URL, and the local file if it is one.
pub(in crate::cli) fn locate(text: &str) -> Result<(String, Option<PathBuf>), Failure> {
    if text.starts_with("https://") || text.starts_with("http://") {
        // In the one spelling that a token takes: lower case, no default port.
        let url = Url::parse(text).map_or_else(|_| text.to_owned(), String::from);
        return Ok((url, None));
    }
    if text.starts_with("oci://") {
        return match webtask_token::Image::parse(text) {
            Some(_) => Ok((text.to_owned(), None)),
            None => Err(Failure::usage(format!("{text:?} is no image in a registry"))
                .hint("write oci://REGISTRY/REPOSITORY:TAG, with @sha256: and the manifest's digest for one image only; --sha256 is the digest of the component")),
        };
    }
    let unfit = || {
        Failure::usage(format!(
            "{text:?} is not a path, nor a file:, https:, http: or oci: URL"
        ))
    };
    if text.starts_with("data:") {
        return Err(unfit());
    }
    let path = match text.strip_prefix("file:") {
        Some(rest) if rest.starts_with("//") => Url::parse(text)
            .ok()
            .and_then(|url| url.to_file_path().ok())
            .ok_or_else(unfit)?,
        Some(rest) => PathBuf::from(rest),
        None if text.contains("://") => return Err(unfit()),
        None => PathBuf::from(text),
    };
    // The file may be on the machine that serves and not on this one; then its path must be whole.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) if path.is_absolute() => path,
        Err(error) => return Err(unreadable(&path, &error)),
    };
    let url = Url::from_file_path(&path).map_err(|()| unfit())?;
    Ok((url.into(), Some(path)))
}

fn digest_or_hint(path: &Path) -> Result<[u8; 32], Failure> {
    digest(path).map_err(|error| {
        unreadable(path, &error)
            .hint("to name a file that is not on this machine, give its digest with --sha256")
    })
}

fn digest(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            len => hasher.update(buffer.get(..len).unwrap_or_default()),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("--url: cannot read {}: {error}", path.display()))
}

fn parse_digest(text: &str) -> Result<[u8; 32], Failure> {
    let mut digest = [0; 32];
    let mut pairs = text.as_bytes().chunks(2);
    let whole = digest.iter_mut().all(|byte| {
        let digits = pairs
            .next()
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit) && pair.len() == 2);
        let value = digits
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        value.is_some_and(|value| {
            *byte = value;
            true
        })
    });
    if whole && pairs.next().is_none() {
        Ok(digest)
    } else {
        Err(
            Failure::usage("--sha256: a digest is 64 hexadecimal digits")
                .hint("sha256sum FILE prints it"),
        )
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn digests_are_64_digits() {
        assert_eq!(parse_digest(&"aB".repeat(32)).unwrap(), [0xAB; 32]);
        for text in [
            "",
            "ab",
            &"a".repeat(63),
            &"a".repeat(65),
            &"g".repeat(64),
            &"+1".repeat(32),
            &"ä".repeat(32),
        ] {
            assert!(parse_digest(text).is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_pinned_and_urls_ask() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("a b.wasm");
        std::fs::write(&path, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for text in [
            path.display().to_string(),
            format!("file:{}", path.display()),
            format!("file://{}", path.display()),
        ] {
            let source = resolve(&text, None, false).unwrap();
            assert!(
                source.url.starts_with("file:///") && source.url.ends_with("/a%20b.wasm"),
                "{}",
                source.url
            );
            assert_eq!(hex(&source.sha256.unwrap()), abc);
        }
        assert!(
            resolve(&path.display().to_string(), None, true)
                .unwrap()
                .sha256
                .is_none()
        );
        assert!(resolve("https://h.test/a.wasm", None, false).is_err());
        assert!(
            resolve("https://h.test/a.wasm", None, true)
                .unwrap()
                .sha256
                .is_none()
        );
        assert!(
            resolve("https://h.test/a.wasm", Some(abc), false)
                .unwrap()
                .sha256
                .is_some()
        );
        assert!(resolve("no/such.wasm", None, true).is_err());
        assert!(resolve("/no/such.wasm", None, false).is_err());
        assert_eq!(
            resolve("/no/such.wasm", Some(abc), false).unwrap().url,
            "file:///no/such.wasm"
        );
        assert!(resolve("ftp://h.test/a.wasm", None, true).is_err());
    }
}
