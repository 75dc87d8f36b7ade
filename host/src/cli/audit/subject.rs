//! What is audited: from what was typed to a component or a token.

use std::{fs::File, io::Read, path::Path, time::Duration};

use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use webtask_host::{
    audit::{Grants, Needs},
    chain,
};
use webtask_token::{Error, Keyring, Opened};

use crate::cli::{
    Failure, block_on,
    token::{hex, now},
};

/// The largest component that is read, in bytes: more than runtimes load by default.
const MAX_CODE: u64 = 64 << 20;
/// How long to wait for a connection, and for the answer to begin.
const LIMIT: Duration = Duration::from_secs(30);

/// A file, a URL or a token of the command line; clap would print a token in errors and in `Debug`.
#[derive(Clone)]
pub(super) struct SubjectText(String);

impl From<&str> for SubjectText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for SubjectText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// What is audited, and what it is called in the answer.
pub(in crate::cli) struct Subject {
    pub(in crate::cli) name: String,
    pub(in crate::cli) kind: Kind,
}

pub(in crate::cli) enum Kind {
    Component(Needs),
    Token(Box<Grants>, Box<Opened>),
}

impl SubjectText {
    /// Reads it, and opens it if it is a token.
    pub(super) fn read(&self, keyring: Option<&Keyring>) -> Result<Subject, Failure> {
        let text = self.0.trim();
        if text.starts_with("wt1.") {
            return token(text, keyring);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            return component(plain(text), &fetch(text)?);
        }
        let (name, bytes) = match text {
            "-" => ("stdin".to_owned(), read(std::io::stdin().lock())),
            path => (plain(path), File::open(path).and_then(read)),
        };
        let bytes =
            bytes.map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        match std::str::from_utf8(&bytes).map(str::trim) {
            Ok(text) if text.starts_with("wt1.") => token(text, keyring),
            _ => component(name, &bytes),
        }
    }
}

impl Subject {
    pub(in crate::cli) fn to_wit(&self) -> String {
        match &self.kind {
            Kind::Component(needs) => needs.to_wit(&self.name),
            Kind::Token(grants, _) => grants.to_wit(),
        }
    }

    /// The component that a token runs, from where it says.
    pub(super) fn code(&self) -> Result<Self, Failure> {
        let Kind::Token(grants, opened) = &self.kind else {
            return Err(Failure::usage("--code takes a token"));
        };
        if grants.issuer {
            return Err(Failure::refused("an issuer token has no code of its own"));
        }
        let url = &opened.claims.url;
        let bytes = match url::Url::parse(url)
            .ok()
            .filter(|url| url.scheme() == "file")
        {
            Some(file) => {
                let path = file
                    .to_file_path()
                    .map_err(|()| Failure::refused("the token's URL is no path of this machine"))?;
                read_file(&path)?
            }
            None => fetch(url)?,
        };
        // The name as the grants have it, without a query.
        let code = component(plain(&grants.code.concat()), &bytes)?;
        match (&code.kind, opened.claims.sha256) {
            (Kind::Component(needs), Some(pinned)) if needs.sha256 != pinned => {
                Err(Failure::refused(format!(
                    "{} has SHA-256 {}, the token names {}",
                    code.name,
                    hex(&needs.sha256),
                    hex(&pinned)
                ))
                .hint("the token runs other code than is there now; no runtime will run this"))
            }
            _ => Ok(code),
        }
    }
}

pub(in crate::cli) fn component(name: String, bytes: &[u8]) -> Result<Subject, Failure> {
    let needs = Needs::of(bytes).map_err(|error| {
        Failure::refused(format!("{name} cannot run here: {}", chain(&error))).hint("webtasks are components of WebAssembly, built for wasm32-wasip2 or by a toolchain such as componentize-py or jco")
    })?;
    Ok(Subject {
        name,
        kind: Kind::Component(needs),
    })
}

fn token(text: &str, keyring: Option<&Keyring>) -> Result<Subject, Failure> {
    let keyring = keyring.ok_or_else(|| {
        Failure::usage("a token is read with its keyring").hint("give it with --keys FILE; without a key, `webtask token inspect` shows what anybody can see")
    })?;
    // One that is over, or not valid yet, is read all the same: the world tells its times.
    let opened = match keyring.open(text, now()) {
        Err(Error::Expired { exp, .. }) => keyring.open(text, exp.saturating_sub(1)),
        Err(Error::NotYetValid { nbf, .. }) => keyring.open(text, nbf),
        other => other,
    };
    let opened = opened.map_err(|error| Failure::refused(error.to_string()))?;
    let grants = Grants::of(&opened).map_err(|error| Failure::refused(error.to_string()))?;
    Ok(Subject {
        name: format!("token {}", opened.id),
        kind: Kind::Token(Box::new(grants), Box::new(opened)),
    })
}

pub(in crate::cli) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    File::open(path)
        .and_then(read)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))
}

fn read(from: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_CODE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_CODE {
        return Err(std::io::Error::other(format!(
            "it is larger than {} MiB",
            MAX_CODE >> 20
        )));
    }
    Ok(bytes)
}

/// Fetches a component for the person who asked; follows nothing.
pub(in crate::cli) fn fetch(url: &str) -> Result<Vec<u8>, Failure> {
    let shown = plain(url.split('?').next().unwrap_or_default());
    let request = Request::get(url)
        .header(header::ACCEPT, "application/wasm")
        .body(Full::default())
        .map_err(|_| Failure::usage(format!("{shown} is no URL")))?;
    block_on(async {
        let failed = |error: &dyn std::error::Error| {
            Failure::usage(format!("cannot fetch {shown}: {}", chain(error)))
        };
        let response = webtask_host::send(request, LIMIT)
            .await
            .map_err(|error| failed(&error))?;
        if response.status().as_u16() != 200 {
            return Err(Failure::usage(format!(
                "cannot fetch {shown}: the origin answered {}",
                response.status()
            )));
        }
        let most = usize::try_from(MAX_CODE).unwrap_or(usize::MAX);
        let body = tokio::time::timeout(LIMIT, Limited::new(response.into_body(), most).collect());
        let body = body.await.map_err(|error| failed(&error))?;
        Ok(body
            .map_err(|error| failed(error.as_ref()))?
            .to_bytes()
            .into())
    })
}

/// Text of the command line in an answer.
fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}
