//! The flags that give secrets. Nothing here prints what it was given, in errors or otherwise.

use std::collections::BTreeMap;
use std::fmt;

use clap::Args;
use webtask_token::{MAX_TOKEN_LEN, ParseError, Secret, SecretClaim, Slot};

use crate::cli::Failure;
use crate::cli::keys::read_text;

/// Secrets and where they are bound.
#[derive(Args, Debug)]
pub(super) struct SecretFlags {
    /// A secret, on the command line: visible in the shell's history and to other users
    #[arg(long = "secret", value_name = "NAME=VALUE")]
    secrets: Vec<Raw>,
    /// A secret from a file, without its last line break; - reads stdin
    #[arg(long = "secret-file", value_name = "NAME=FILE")]
    secret_files: Vec<Raw>,
    /// A secret from the environment variable VAR, or NAME if no VAR is given
    #[arg(long = "secret-env", value_name = "NAME[=VAR]")]
    secret_envs: Vec<Raw>,
    /// Bind a secret: the code cannot read it, the runtime writes it into this header of this request;
    /// the format has {} for the value, or is basic:USER, or is hmac-sha256: and a text with {} for the
    /// HMAC-SHA256 of the body with the value as its key, as in hmac-sha256:sha256={}
    #[arg(long = "bind", value_name = "NAME=METHOD URL HEADER: FORMAT")]
    binds: Vec<Raw>,
}

impl SecretFlags {
    /// True if a value was given on the command line itself.
    pub(super) fn on_command_line(&self) -> bool {
        !self.secrets.is_empty()
    }

    /// Reads the values from where they are.
    pub(super) fn read(&self) -> Result<BTreeMap<String, SecretClaim>, Failure> {
        let mut secrets = BTreeMap::new();
        let mut add = |flag: &str, name: &str, value: Secret| match secrets.insert(
            name.to_owned(),
            SecretClaim {
                value,
                slots: Vec::new(),
            },
        ) {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!(
                "{flag}: the secret {} is given twice",
                plain(name)
            ))),
        };
        for secret in &self.secrets {
            let (name, value) = secret.pair("--secret")?;
            add("--secret", name, Secret::new(value.to_owned()))?;
        }
        for secret in &self.secret_files {
            let (name, path) = secret.pair("--secret-file")?;
            add("--secret-file", name, secret_file(path)?)?;
        }
        for secret in &self.secret_envs {
            let (name, variable) = secret.0.split_once('=').unwrap_or((&secret.0, &secret.0));
            let value = std::env::var(variable).map_err(|_| {
                Failure::usage(format!(
                    "--secret-env: the variable {} is not set, or not text",
                    plain(variable)
                ))
                .hint("--secret-env NAME=VAR takes the secret NAME from the variable VAR")
            })?;
            add("--secret-env", name, Secret::new(value))?;
        }
        Ok(secrets)
    }

    /// Binds what was read, and secrets from elsewhere.
    pub(super) fn bind(&self, secrets: &mut BTreeMap<String, SecretClaim>) -> Result<(), Failure> {
        self.binds
            .iter()
            .try_for_each(|text| bind("--bind", text, secrets))
    }
}

/// `--bind NAME=SLOT`: onto the secret of that name, once.
pub(in crate::cli) fn bind(
    flag: &str,
    text: &Raw,
    secrets: &mut BTreeMap<String, SecretClaim>,
) -> Result<(), Failure> {
    let (name, slot) = text.pair(flag)?;
    let unknown = || {
        Failure::usage(format!("{flag}: no secret {}", plain(name)))
            .hint("give it as well, with --secret-file, --secret-env or --secret")
    };
    let slot: Slot = slot
        .parse()
        .map_err(|error| invalid(&format!("{flag} {}=...", plain(name)), error))?;
    let slots = &mut secrets.get_mut(name).ok_or_else(unknown)?.slots;
    if !slots.contains(&slot) {
        slots.push(slot);
    }
    Ok(())
}

/// A value of the command line that may hold a secret: clap prints what it cannot parse, so it parses nothing.
#[derive(Clone)]
pub(in crate::cli) struct Raw(String);

impl Raw {
    /// Splits at the first `=`.
    pub(super) fn pair(&self, flag: &str) -> Result<(&str, &str), Failure> {
        let hint = "the name comes first, then =, as in api-key=...; quote the whole";
        self.0
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("{flag}: expected NAME=...")).hint(hint))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl From<&str> for Raw {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Text of the command line in a message.
pub(super) fn plain(text: &str) -> String {
    text.escape_debug().to_string()
}

pub(super) fn invalid(flag: &str, error: ParseError) -> Failure {
    Failure::usage(format!("{flag}: {error}"))
}

fn secret_file(path: &str) -> Result<Secret, Failure> {
    let most = MAX_TOKEN_LEN as u64;
    let text = match path {
        "-" => read_text(std::io::stdin(), most),
        _ => std::fs::File::open(path).and_then(|file| read_text(file, most)),
    };
    let text = text.map_err(|error| {
        Failure::usage(format!(
            "--secret-file: cannot read {}: {error}",
            plain(path)
        ))
    })?;
    let value = text.expose();
    let value = value
        .strip_suffix('\n')
        .map_or(value, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Secret::new(value.to_owned()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        secrets: SecretFlags,
    }

    #[test]
    fn failures_never_show_a_secret() {
        for flags in [
            ["--secret", "CANARY", "--secret", "a=b"],
            ["--secret-file", "CANARY", "--secret", "a=b"],
            ["--secret", "s=CANARY", "--secret", "s=CANARY"],
            [
                "--secret",
                "s=CANARY",
                "--bind",
                "t=POST https://h.test/ a: {}",
            ],
            [
                "--secret",
                "s=CANARY",
                "--bind",
                "s=POST https://h.test/ a: CANARY",
            ],
            ["--secret", "s=CANARY", "--bind", "CANARY"],
        ] {
            let line = Line::try_parse_from(["create"].iter().chain(&flags)).unwrap();
            let read = line.secrets.read();
            let bound = read.and_then(|mut secrets| line.secrets.bind(&mut secrets));
            let shown = format!("{line:?} {:?}", bound.unwrap_err());
            assert!(!shown.contains("CANARY"), "{shown}");
        }
    }

    #[test]
    fn one_line_break_is_not_a_part_of_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, value) in [
            ("v", "v"),
            ("v\n", "v"),
            ("v\r\n", "v"),
            ("v\n\n", "v\n"),
            (" v ", " v "),
        ] {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(
                secret_file(file.path().to_str().unwrap()).unwrap().expose(),
                value
            );
        }
    }
}
