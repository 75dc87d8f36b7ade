//! `webtask.toml`: what a webtask is to get beside its code, in the words of `webtask token create`.
//!
//! It holds names and grants, and no value of a secret: it belongs into version control.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;
use webtask_token::{Amount, Carrier, Claims, Secret, SecretClaim};

use super::{
    Failure,
    token::flags::{self, Raw},
};

/// The file of a project, beside its `Cargo.toml`.
pub(super) const FILE: &str = "webtask.toml";

/// What a webtask is to get.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Declared {
    /// As it is named in errors.
    #[serde(skip)]
    file: String,
    /// Names of secrets.
    pub(super) secrets: BTreeSet<String>,
    /// As in `--allow`.
    allow: Vec<String>,
    /// As in `--bind`.
    bind: Vec<String>,
    /// As in `--param`.
    params: BTreeMap<String, String>,
    /// As in `--limit`.
    limits: BTreeMap<String, Amount>,
    /// As in `--via`.
    via: BTreeSet<Via>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
enum Via {
    Path,
}

impl Declared {
    /// Reads `path`; the failure names the line.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {file}: {error}")))?;
        Self::parse(file, &text)
    }

    /// That of the project in `directory`; one that grants nothing if there is none.
    pub(super) fn of(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        match path.try_exists() {
            Ok(false) => Ok(Self::default()),
            _ => Self::read(&path),
        }
    }

    fn parse(file: String, text: &str) -> Result<Self, Failure> {
        let mut read: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.unwrap_or_default().matches('\n').count() + 1;
            Failure::refused(format!("{file}, line {line}: {}", error.message().replace('\n', " ")))
                .hint("it has secrets, allow, bind, via, [params] and [limits]; docs/authors.md shows each")
        })?;
        read.file = file;
        Ok(read)
    }

    /// Adds to `claims` all that they do not have yet; what they have, as by a flag, stays. Of the secrets it has
    /// the names: `missing` says where a value would come from.
    pub(super) fn fill(&self, claims: &mut Claims, missing: &str) -> Result<(), Failure> {
        let flag = |key: &str| match self.file.as_str() {
            "" => key.to_owned(),
            file => format!("{file}: {key}"),
        };
        if let Some(name) = self
            .secrets
            .iter()
            .find(|name| !claims.secrets.contains_key(*name))
        {
            let name = name.escape_debug();
            return Err(Failure::refused(format!(
                "{}: the secret {name} has no value",
                flag("secrets")
            ))
            .hint(missing.replace("NAME", &name.to_string())));
        }
        for bind in &self.bind {
            flags::bind(
                &flag("bind"),
                &Raw::from(bind.as_str()),
                &mut claims.secrets,
            )?;
        }
        for grant in flags::grants(&flag("allow"), &self.allow)? {
            if !claims.out.contains(&grant) {
                claims.out.push(grant);
            }
        }
        for (name, value) in &self.params {
            claims
                .params
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
        let texts = self.limits.iter().map(|(name, amount)| match amount {
            Amount::Number(number) => (name, format!("{name}={number}")),
            Amount::Text(text) => (name, format!("{name}={text}")),
        });
        for (name, text) in texts {
            let read = flags::limits(&flag("limits"), std::slice::from_ref(&text))?;
            if claims.lim.iter().all(|(other, _)| other != name) {
                let lowered = claims.lim.lowered(&read);
                claims.lim = lowered;
            }
        }
        if !self.via.is_empty() && !claims.via.contains(&Carrier::Path) {
            claims.via.push(Carrier::Path);
        }
        Ok(())
    }

    /// Claims of all this for code that is not named yet, with secrets of no value: for what the audit says.
    pub(super) fn without_values(&self) -> Result<Claims, Failure> {
        let mut claims = Claims::new("", 0);
        let empty = || SecretClaim {
            value: Secret::new(String::new()),
            slots: Vec::new(),
        };
        claims.secrets = self
            .secrets
            .iter()
            .map(|name| (name.clone(), empty()))
            .collect();
        self.fill(&mut claims, "")?;
        Ok(claims)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const ALL: &str = r#"
secrets = ["api-key"]
allow = ["GET https://api.example.com/*"]
bind = ["api-key=GET https://api.example.com/* authorization: Bearer {}"]
via = ["path"]
[params]
api = "https://api.example.com"
[limits]
calls = 1
memory = "16MiB"
"#;

    fn parse(text: &str) -> Result<Declared, Failure> {
        Declared::parse("w.toml".to_owned(), text)
    }

    fn secrets(claims: &mut Claims) {
        let value = Secret::new("CANARY".to_owned());
        let slots = Vec::new();
        claims
            .secrets
            .insert("api-key".to_owned(), SecretClaim { value, slots });
    }

    #[test]
    fn everything_becomes_claims() {
        let mut claims = Claims::new("https://h.test/", 0);
        secrets(&mut claims);
        parse(ALL).unwrap().fill(&mut claims, "").unwrap();
        assert_eq!(claims.out.len(), 1);
        assert_eq!(claims.secrets.get("api-key").unwrap().slots.len(), 1);
        assert_eq!(claims.params.get("api").unwrap(), "https://api.example.com");
        assert_eq!(
            (claims.lim.calls, claims.lim.memory),
            (Some(1), Some(16 << 20))
        );
        assert_eq!(claims.via, [Carrier::Path]);
        let audited = parse(ALL).unwrap().without_values().unwrap();
        assert_eq!((audited.out.len(), audited.secrets.len()), (1, 1));
    }

    #[test]
    fn what_a_flag_said_stays() {
        let mut claims = Claims::new("https://h.test/", 0);
        secrets(&mut claims);
        claims.params.insert("api".to_owned(), "mine".to_owned());
        claims.lim.set("calls", "7").unwrap();
        claims
            .out
            .push("GET https://api.example.com/*".parse().unwrap());
        claims.via.push(Carrier::Path);
        parse(ALL).unwrap().fill(&mut claims, "").unwrap();
        assert_eq!(claims.params.get("api").unwrap(), "mine");
        assert_eq!(claims.lim.calls, Some(7));
        assert_eq!((claims.out.len(), claims.via.len()), (1, 1));
    }

    #[test]
    fn failures_name_the_file_and_the_place() {
        for (text, parts) in [
            ("\nalow = []", ["line 2", "alow"]),
            ("allow = 'x'", ["line 1", "sequence"]),
            (
                "secrets = ['a']",
                ["the secret a has no value", "put a there"],
            ),
            (
                "allow = ['get https://h/']",
                ["w.toml: allow", "get https://h/"],
            ),
            (
                "bind = ['a=GET https://h/ a: {}']",
                ["w.toml: bind", "no secret a"],
            ),
            ("bind = ['x']", ["w.toml: bind", "expected NAME="]),
            ("[limits]\nmemory = 5", ["w.toml: limits", "memory=5"]),
            ("[limits]\nwool = '5s'", ["w.toml: limits", "wool=5s"]),
            ("via = ['cookie']", ["line 1", "cookie"]),
        ] {
            let mut claims = Claims::new("https://h.test/", 0);
            let filled = parse(text).and_then(|read| read.fill(&mut claims, "put NAME there"));
            let error = filled.unwrap_err().to_string();
            assert!(
                parts.iter().all(|part| error.contains(part)),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn no_file_grants_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let claims = Declared::of(directory.path())
            .unwrap()
            .without_values()
            .unwrap();
        assert!(claims.out.is_empty() && claims.secrets.is_empty());
        std::fs::write(directory.path().join(FILE), "x").unwrap();
        assert!(Declared::of(directory.path()).is_err());
    }
}
