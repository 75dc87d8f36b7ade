//! Runs a webtask as what it is, a component with the rights of its token and no more, in the process of a test:
//! over a real socket, in the real runtime, against origins that the test answers for.
//!
//! ```no_run
//! use webtask_testing::{Origin, Webtask};
//!
//! # async fn test() -> Result<(), webtask_testing::Error> {
//! let shop = Origin::start(|_| http::Response::new("paid".into())).await?;
//! let charge = format!("POST {}/v1/charges authorization: Bearer {{}}", shop.url());
//! let webtask = Webtask::new("target/wasm32-wasip2/release/charge.wasm")
//!     .bind("shop-key", "sk_test_1", &charge)
//!     .allow(&format!("POST {}/v1/*", shop.url()))
//!     .start()
//!     .await?;
//! let answer = webtask.get("/?order=7").await?;
//! assert_eq!(answer.status(), 200);
//! assert_eq!(shop.seen()[0].headers()["authorization"], "Bearer sk_test_1");
//! assert!(webtask.log().await?.iter().any(|line| line.message.contains("order 7")));
//! # Ok(())
//! # }
//! ```
//!
//! For tests of a handler alone, without a component and without a runtime, the SDK has `webtask::testing`. It takes no
//! tokio; this needs one, as in `#[tokio::test]`.

mod error;
mod log;
mod origin;
mod running;

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

pub use error::Error;
pub use log::Line;
pub use origin::Origin;
pub use running::Running;
use sha2::{Digest as _, Sha256};
use webtask_host::{CodePrefix, Limits};
use webtask_token::{Claims, Secret, SecretClaim};

/// A component, and what its token is to hold.
#[derive(Debug)]
#[must_use = "nothing runs before it is started"]
pub struct Webtask {
    wasm: PathBuf,
    claims: Claims,
    limits: Limits,
    /// The first thing that was wrong.
    wrong: Option<Error>,
}

impl Webtask {
    /// The component in the file `wasm`, as `webtask build` made it. Its token grants nothing yet.
    pub fn new(wasm: impl AsRef<Path>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            wasm: wasm.as_ref().to_owned(),
            claims: Claims::new("", now.unwrap_or_default().as_secs()),
            limits: Limits::default(),
            wrong: None,
        }
    }

    /// Adds a secret that the webtask can read, `--secret` of `webtask token create`.
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secret_claim(name, value);
        self
    }

    /// Adds a secret that the webtask cannot read, and the place where the runtime puts it, `--bind`:
    /// `POST http://127.0.0.1:8000/v1/charges authorization: Bearer {}`. Called again with the name, it adds
    /// another place.
    pub fn bind(mut self, name: &str, value: &str, slot: &str) -> Self {
        match slot.parse() {
            Ok(slot) => self.secret_claim(name, value).slots.push(slot),
            Err(source) => self.is_wrong("slot", slot, source),
        }
        self
    }

    /// Grants outbound requests, `--allow`: `GET,POST http://127.0.0.1:8000/v1/*`. Loopback is open to tests.
    pub fn allow(mut self, grant: &str) -> Self {
        match grant.parse() {
            Ok(grant) => self.claims.out.push(grant),
            Err(source) => self.is_wrong("grant", grant, source),
        }
        self
    }

    /// Adds a parameter, `--param`.
    pub fn param(mut self, name: &str, value: &str) -> Self {
        self.claims.params.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Changes the numbers of the runtime.
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Starts a runtime of its own on a port of its own; it is compiled at its first request. All ends when what
    /// this returns is dropped.
    ///
    /// # Errors
    /// The file cannot be read, a grant or slot is none, a name or value does not fit into a token, or the
    /// runtime does not start.
    pub async fn start(mut self) -> Result<Running, Error> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let unreadable = |source| Error::Component {
            path: self.wasm.clone(),
            source,
        };
        let path = self.wasm.canonicalize().map_err(unreadable)?;
        let code = std::fs::read(&path).map_err(unreadable)?;
        self.claims.sha256 = Some(Sha256::digest(&code).into());
        self.claims.url = url_of(&path);
        let dir = path.parent().unwrap_or(&path).display().to_string();
        let prefix: CodePrefix = dir.parse()?;
        Running::start(&self.claims, prefix, self.limits).await
    }

    fn secret_claim(&mut self, name: &str, value: &str) -> &mut SecretClaim {
        let claim = self.claims.secrets.entry(name.to_owned());
        claim.or_insert_with(|| SecretClaim {
            value: Secret::new(value.to_owned()),
            slots: Vec::new(),
        })
    }

    fn is_wrong(&mut self, what: &'static str, text: &str, source: webtask_token::ParseError) {
        self.wrong.get_or_insert(Error::Text {
            what,
            text: text.to_owned(),
            source,
        });
    }
}

/// `file:` and the path, with what a URL cannot hold percent-encoded (RFC 3986, section 2.1).
fn url_of(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}
