//! What several commands take: a token, times, parameters, limits, grants.

use std::collections::BTreeMap;

use webtask_token::units::parse_duration;
use webtask_token::{Grant, Limits, MAX_TOKEN_LEN};

pub(in crate::cli) use super::secrets::{Raw, bind};
use super::secrets::{invalid, plain};
use crate::cli::Failure;
use crate::cli::keys::read_text;

/// A token on its way from the command line; clap would print it in errors and in `Debug`.
#[derive(Clone)]
pub(in crate::cli) struct TokenText(String);

impl TokenText {
    /// Whether it is on stdin.
    pub(in crate::cli) fn is_stdin(&self) -> bool {
        self.0 == "-"
    }

    /// Whether this is a path, where a token was not given.
    pub(in crate::cli) fn as_path(&self) -> Option<&str> {
        self.0.starts_with('/').then_some(&self.0)
    }

    /// The token, from stdin if it is `-`.
    pub(in crate::cli) fn read(&self) -> Result<String, Failure> {
        if self.0 != "-" {
            return Ok(self.0.trim().to_owned());
        }
        let text = read_text(std::io::stdin(), 2 * MAX_TOKEN_LEN as u64)
            .map_err(|error| Failure::usage(format!("cannot read a token from stdin: {error}")))?;
        Ok(text.expose().trim().to_owned())
    }
}

impl std::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl From<&str> for TokenText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Reads a token from a file.
pub(in crate::cli) fn token_file(flag: &str, path: &std::path::Path) -> Result<String, Failure> {
    let text = std::fs::File::open(path)
        .and_then(|file| read_text(file, 2 * MAX_TOKEN_LEN as u64))
        .map_err(|error| {
            Failure::usage(format!("{flag}: cannot read {}: {error}", path.display()))
        })?;
    Ok(text.expose().trim().to_owned())
}

/// A time from now, or Unix seconds.
pub(super) fn time(flag: &str, text: &str, now: u64) -> Result<u64, Failure> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let after =
        parse_duration(text).map_err(|error| invalid(&format!("{flag} {text:?}"), error))?;
    Ok(now.saturating_add(after.as_secs()))
}

/// `--param NAME=VALUE`, each name once.
pub(super) fn params(flags: &[Raw]) -> Result<BTreeMap<String, String>, Failure> {
    let mut params = BTreeMap::new();
    for flag in flags {
        let (name, value) = flag.pair("--param")?;
        if params.insert(name.to_owned(), value.to_owned()).is_some() {
            let name = plain(name);
            return Err(Failure::usage(format!("--param: {name} is given twice")));
        }
    }
    Ok(params)
}

/// `--limit NAME=VALUE`.
pub(in crate::cli) fn limits(flag: &str, texts: &[String]) -> Result<Limits, Failure> {
    let mut limits = Limits::default();
    for text in texts {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Failure::usage(format!("{flag}: expected NAME=VALUE, such as memory=64MiB"))
        })?;
        limits
            .set(name, value)
            .map_err(|error| invalid(&format!("{flag} {text:?}"), error))?;
    }
    Ok(limits)
}

/// `--allow 'METHODS URL'`.
pub(in crate::cli) fn grants(flag: &str, texts: &[String]) -> Result<Vec<Grant>, Failure> {
    let grant = |text: &String| {
        text.parse()
            .map_err(|error| invalid(&format!("{flag} {text:?}"), error))
    };
    texts.iter().map(grant).collect()
}
