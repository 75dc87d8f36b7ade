//! Where code may come from: the platform's prefixes, and a token's URL against them.

use std::{
    path::{Component, Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use cap_std::{ambient_authority, fs::Dir};
use url::Url;
use webtask_token::Image;

use super::{Asker, LoadError, Worker, oci};
use crate::egress::Ranges;

/// A prefix under which code may be fetched: a directory, or the beginning of a URL.
#[derive(Clone, Debug)]
pub struct CodePrefix(pub(super) Prefix);

#[derive(Clone, Debug)]
pub(super) enum Prefix {
    /// The names under which tokens may mention the directory, and the capability to read in it.
    Directory { names: Vec<PathBuf>, dir: Arc<Dir> },
    /// A registry, and the beginning of the names of repositories.
    Oci(oci::Prefix),
    /// Scheme alone: any public origin.
    Scheme(&'static str),
    /// Scheme, authority and the beginning of the path.
    Url(Url),
}

/// Why a text is not a code prefix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodePrefixError {
    /// The directory cannot be opened.
    #[error("code directory {path} cannot be opened: {source}")]
    Directory {
        /// The directory as given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither a directory nor a URL that code can have.
    #[error(
        "{0:?} is neither a directory nor a URL that begins with file://, http://, https://, oci:// or oci+http://"
    )]
    Unknown(String),
}

impl CodePrefix {
    /// Any public https origin: what a host allows when nothing else is said.
    #[must_use]
    pub fn any_https() -> Self {
        Self(Prefix::Scheme("https"))
    }

    fn directory(path: &Path) -> Result<Self, CodePrefixError> {
        let error = |source| CodePrefixError::Directory {
            path: path.display().to_string(),
            source,
        };
        let given = std::path::absolute(path).map_err(error)?;
        let real = given.canonicalize().map_err(error)?;
        let dir = Dir::open_ambient_dir(&real, ambient_authority()).map_err(error)?;
        let mut names = vec![real];
        if !names.contains(&given) {
            names.push(given);
        }
        Ok(Self(Prefix::Directory {
            names,
            dir: Arc::new(dir),
        }))
    }
}

impl FromStr for CodePrefix {
    type Err = CodePrefixError;

    fn from_str(text: &str) -> Result<Self, CodePrefixError> {
        let unknown = || CodePrefixError::Unknown(text.to_owned());
        match text {
            "https:" | "https://" => return Ok(Self::any_https()),
            "http:" | "http://" => return Ok(Self(Prefix::Scheme("http"))),
            "oci:" | "oci://" => return Ok(Self(Prefix::Scheme("oci"))),
            _ => {}
        }
        if text.starts_with("oci") && text.contains("://") {
            let prefix = oci::Prefix::parse(text).ok_or_else(unknown)?;
            return Ok(Self(Prefix::Oci(prefix)));
        }
        if !text.contains("://") {
            return Self::directory(Path::new(text));
        }
        let url = Url::parse(text).map_err(|_| unknown())?;
        match url.scheme() {
            "file" => Self::directory(&url.to_file_path().map_err(|()| unknown())?),
            "http" | "https" => Ok(Self(Prefix::Url(url))),
            _ => Err(unknown()),
        }
    }
}

/// Code that may be fetched, how, and for whom.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) url: Url,
    pub(super) from: From,
    pub(super) by: Asker,
    /// Of a mirror: where else its redirects may lead.
    pub(super) mirror: Option<Prefix>,
}

#[derive(Clone)]
pub(super) enum From {
    File {
        dir: Arc<Dir>,
        path: PathBuf,
    },
    /// Opened ranges only where the platform named this very origin as a source of code.
    Http(Ranges),
    Oci(oci::Place),
}

impl Source {
    /// How to fetch `url`, if it is below the mirror that this is of.
    pub(super) fn also(&self, url: &Url) -> Option<From> {
        self.mirror.as_ref()?.permits(url)
    }

    /// The URL for logs: a query may hold a signature.
    pub(super) fn shown(&self) -> String {
        shown(&self.url)
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

impl Worker {
    /// The source that `url` names, if the platform allows it, and the tenant's own prefixes too.
    pub(super) fn permit(&self, url: &str, by: &Asker) -> Result<Source, LoadError> {
        let url = Url::parse(url).map_err(|error| LoadError::Fetch {
            url: "the token's URL".into(),
            reason: error.to_string(),
        })?;
        if !matches!(url.scheme(), "file" | "http" | "https" | "oci") {
            return Err(LoadError::Fetch {
                // What follows may be the code itself, of any length.
                url: format!("{}:…", url.scheme()),
                reason: "code has URLs that begin with https:, http:, file: or oci:".into(),
            });
        }
        let mut permitted = self
            .origins
            .allowed
            .iter()
            .filter_map(|prefix| prefix.0.permits(&url));
        // A prefix that names the origin reaches further than one of its scheme.
        let first = permitted.next();
        let named = |from: &From| match from {
            From::Http(ranges) => *ranges == Ranges::Opened,
            From::Oci(place) => place.ranges == Ranges::Opened,
            From::File { .. } => false,
        };
        match permitted.find(named).or(first) {
            Some(_) if !within(by.ceiling.code.as_deref(), &url) => Err(LoadError::TenantDenied {
                url: shown(&url),
                tenant: by.tenant.to_string(),
            }),
            Some(from) => Ok(Source {
                url,
                from,
                by: by.clone(),
                mirror: None,
            }),
            None => {
                let hint = match url.scheme() {
                    "file" => url
                        .to_file_path()
                        .ok()
                        .and_then(|path| Some(path.parent()?.display().to_string())),
                    _ => url.join("./").ok().map(|base| shown(&base)),
                };
                Err(LoadError::Denied {
                    hint: hint.unwrap_or_default(),
                    url: shown(&url),
                })
            }
        }
    }
}

/// Whether `url` lies below one of these, if there are any.
fn within(prefixes: Option<&[CodePrefix]>, url: &Url) -> bool {
    prefixes.is_none_or(|prefixes| {
        prefixes
            .iter()
            .any(|prefix| prefix.0.permits(url).is_some())
    })
}

impl Prefix {
    pub(super) fn permits(&self, url: &Url) -> Option<From> {
        match self {
            Self::Oci(prefix) => prefix.permits(&Image::parse(url.as_str())?).map(From::Oci),
            Self::Scheme("oci") => {
                let image = Image::parse(url.as_str())?;
                oci::Place::public(&image).map(From::Oci)
            }
            Self::Directory { names, dir } => {
                let path = (url.scheme() == "file")
                    .then(|| url.to_file_path().ok())
                    .flatten()?;
                let path = names.iter().find_map(|name| path.strip_prefix(name).ok())?;
                // cap-std refuses what leads out; a path with `..` is refused before it is tried.
                let plain = path
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
                (plain && path.components().next().is_some()).then(|| From::File {
                    dir: dir.clone(),
                    path: path.to_owned(),
                })
            }
            Self::Scheme(scheme) => {
                (url.scheme() == *scheme && plain(url)).then_some(From::Http(Ranges::Public))
            }
            Self::Url(prefix) => (url.scheme() == prefix.scheme()
                && url.host() == prefix.host()
                && url.port_or_known_default() == prefix.port_or_known_default()
                && plain(url)
                && below(url.path(), prefix.path()))
            .then_some(From::Http(Ranges::Opened)),
        }
    }
}

/// No user information, and no escape that a server might read as a separator or as dots.
pub(super) fn plain(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    url.username().is_empty()
        && url.password().is_none()
        && !["%2f", "%5c", "%2e", "//"]
            .iter()
            .any(|trick| path.contains(trick))
}

/// Whether `path` is `prefix` or below it: `/code` covers `/code/a.wasm`, not `/codex/a.wasm`.
pub(super) fn below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// Why bytes are visibly no component, in words an author can act on.
///
/// Looks at the first eight bytes only.
#[must_use]
pub fn not_a_component(bytes: &[u8]) -> Option<&'static str> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 0x0d, 0, 1, 0]) => None,
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Some(
            "it is a core WebAssembly module, not a component; build it with --target wasm32-wasip2, or wrap it with `wasm-tools component new`",
        ),
        _ => Some("it is not WebAssembly"),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn permits(prefix: &str, url: &str) -> bool {
        prefix
            .parse::<CodePrefix>()
            .unwrap()
            .0
            .permits(&Url::parse(url).unwrap())
            .is_some()
    }

    #[test]
    fn a_url_prefix_covers_what_is_below_it() {
        for good in [
            "https://example.com/code/a.wasm",
            "https://example.com:443/code/b/c.wasm",
            "https://EXAMPLE.com/code/./a.wasm",
        ] {
            assert!(permits("https://example.com/code/", good), "{good}");
        }
        for bad in [
            "https://example.com/codex/a.wasm",
            "https://example.com/code/../secret.wasm",
            "https://example.com/code/%2e%2e/secret.wasm",
            "https://example.com/code/..%2fsecret.wasm",
            "https://example.com/code//a.wasm",
            "http://example.com/code/a.wasm",
            "https://example.com:8443/code/a.wasm",
            "https://example.com.evil.example/code/a.wasm",
            "https://user@example.com/code/a.wasm",
            "file:///code/a.wasm",
        ] {
            assert!(!permits("https://example.com/code/", bad), "{bad}");
        }
        assert!(!permits(
            "https://example.com/code",
            "https://example.com/codex"
        ));
        assert!(permits(
            "https://example.com/code",
            "https://example.com/code/a.wasm"
        ));
    }

    #[test]
    fn a_directory_covers_files_below_it_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().to_str().unwrap();
        assert!(permits(name, &format!("file://{name}/a.wasm")));
        assert!(permits(name, &format!("file://{name}/deep/er/a.wasm")));
        for bad in [
            format!("file://{name}"),
            format!("file://{name}/"),
            format!("file://{name}x/a.wasm"),
            format!("file://{name}/../a.wasm"),
            "https://example.com/a.wasm".to_owned(),
        ] {
            assert!(!permits(name, &bad), "{bad}");
        }
    }
}
