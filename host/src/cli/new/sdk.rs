//! How a new project finds the SDK: the package `webtask`.

use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Where the SDK was when this program was built.
const BUILT_BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guest-sdk");

/// The dependency as it stands in `Cargo.toml`, and what to say about it.
#[derive(Debug)]
pub(super) struct Sdk {
    pub(super) dependency: String,
    pub(super) note: String,
}

impl Sdk {
    /// What `--sdk` asks for; without it the checkout that this program was built from, if it is still there.
    pub(super) fn of(given: Option<&str>) -> Result<Self, Failure> {
        match given {
            None => Ok(match package(Path::new(BUILT_BESIDE)) {
                Some(path) => Self::path(&path),
                None => Self::version(),
            }),
            Some("registry") => Ok(Self::version()),
            // The dependency is committed, and the note is printed.
            Some(git) if has_password(git) => {
                Err(Failure::usage("--sdk: the URL holds a password or a token")
                    .hint("leave it out: git asks for it, or has it from its credential helper"))
            }
            Some(git) if is_git(git) => Ok(Self {
                dependency: format!("{{ git = {} }}", quoted(git)),
                note: format!("the SDK is that of {git}"),
            }),
            Some(path) => {
                let found = [
                    Path::new(path).to_owned(),
                    Path::new(path).join("guest-sdk"),
                ];
                let found = found.iter().find_map(|path| package(path));
                found.map(|path| Self::path(&path)).ok_or_else(|| {
                    Failure::usage(format!("--sdk: no package `webtask` in {path:?}")).hint(
                        "name the directory guest-sdk or the checkout that it is in, the URL of a git repository, or registry",
                    )
                })
            }
        }
    }

    fn path(path: &Path) -> Self {
        Self {
            dependency: format!("{{ path = {} }}", quoted(&path.display().to_string())),
            note: format!("the SDK is that of {}", path.display()),
        }
    }

    /// Of this program's own version: cargo takes whatever is compatible.
    fn version() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            dependency: quoted(version),
            note: format!(
                "the SDK is webtask {version} of the registry; if it is not there yet, --sdk names a checkout or a git repository"
            ),
        }
    }
}

/// The directory without links and dots, if the package `webtask` is in it.
fn package(directory: &Path) -> Option<PathBuf> {
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).ok()?;
    let manifest: toml::Table = manifest.parse().ok()?;
    let name = manifest.get("package")?.get("name")?.as_str()?;
    (name == "webtask").then(|| directory.canonicalize().ok())?
}

fn is_git(text: &str) -> bool {
    ["https://", "http://", "ssh://", "git://", "file://", "git@"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// Of `https://`, any user is one: tokens stand in its place.
fn has_password(git: &str) -> bool {
    let Some((scheme, rest)) = git.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    user.is_some_and(|user| scheme != "ssh" || user.contains(':'))
}

/// `text` as TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_a_token_is_not_written_where_it_is_committed() {
        for url in [
            "https://CANARY@git.example/sdk.git",
            "https://me:CANARY@git.example/sdk.git",
            "ssh://git:CANARY@git.example/sdk.git",
        ] {
            let error = format!("{:?}", Sdk::of(Some(url)).unwrap_err());
            assert!(!error.contains("CANARY"), "{error}");
        }
        for url in [
            "ssh://git@git.example/sdk.git",
            "git@git.example:sdk.git",
            "https://git.example/me@sdk.git",
        ] {
            assert!(Sdk::of(Some(url)).unwrap().dependency.contains(url));
        }
    }

    #[test]
    fn the_sdk_is_a_path_a_repository_or_a_version() {
        let of = |given| Sdk::of(given).unwrap().dependency;
        let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let path = Path::new(checkout)
            .join("guest-sdk")
            .canonicalize()
            .unwrap();
        let dependency = format!("{{ path = \"{}\" }}", path.display());
        assert_eq!(of(None), dependency);
        assert_eq!(of(Some(checkout)), dependency);
        assert_eq!(of(Some(BUILT_BESIDE)), dependency);
        assert_eq!(
            of(Some("https://git.example/webtask")),
            "{ git = \"https://git.example/webtask\" }"
        );
        assert_eq!(
            of(Some("registry")),
            format!("\"{}\"", env!("CARGO_PKG_VERSION"))
        );
        assert!(Sdk::of(Some("/no/such")).is_err());
        assert!(Sdk::of(Some(env!("CARGO_MANIFEST_DIR"))).is_err());
    }
}
