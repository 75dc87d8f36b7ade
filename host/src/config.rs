//! `Config`: what a host is made of, and the file that an operator writes.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;
use webtask_token::Keyring;

use crate::{
    CodeMirror, CodePrefix, Compiler, Limits, RegistryAuth, Revocations, Tenants, UnknownTenants,
    audit::Policy,
    limits,
    tenant::{ReadLogs, TenantFile},
    trace::Traces,
};

/// What a [`Host`](crate::Host) is made of.
#[derive(Debug)]
pub struct Config {
    /// The keys that open tokens.
    pub keyring: Keyring,
    /// What is revoked; [`Revocations::in_memory`] forgets it with the process.
    pub revocations: Revocations,
    /// The numbers in force.
    pub limits: Limits,
    /// The directory that keeps compiled code, for its owner alone; without one it is kept in memory only.
    pub cache: Option<PathBuf>,
    /// Where code may come from.
    pub code: Vec<CodePrefix>,
    /// Where it is fetched from in the place of that; tried in this order.
    pub mirrors: Vec<CodeMirror>,
    /// Credentials of registries.
    pub registries: RegistryAuth,
    /// Where code is compiled.
    pub compiler: Compiler,
    /// Address ranges beyond the public internet that may be dialled, by literal address only.
    pub private: Vec<IpNet>,
    /// The servers that names are asked of; none for those of the machine's configuration.
    pub dns: Vec<SocketAddr>,
    /// PEM files of roots that outbound TLS trusts beside the machine's.
    pub ca: Vec<PathBuf>,
    /// The ceiling for all tokens and components; without one tokens alone say what is allowed.
    pub policy: Option<Policy>,
    /// What single tenants have at most.
    pub tenants: Tenants,
    /// Where the spans of requests go; nowhere without.
    pub traces: Option<Traces>,
}

impl Config {
    /// Keys, and where code may come from; all else is as little as there can be. Revocations and compiled code are in
    /// memory, and code is compiled in this process.
    #[must_use]
    pub fn new(keyring: Keyring, code: Vec<CodePrefix>) -> Self {
        Self {
            keyring,
            revocations: Revocations::in_memory(),
            limits: Limits::default(),
            cache: None,
            code,
            mirrors: Vec::new(),
            registries: RegistryAuth::default(),
            compiler: Compiler::default(),
            private: Vec::new(),
            dns: Vec::new(),
            ca: Vec::new(),
            policy: None,
            tenants: Tenants::default(),
            traces: None,
        }
    }
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people. The default.
    #[default]
    Text,
}

/// What is no format of the log.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no format of the log; write json or text")]
pub struct LogFormatError(String);

impl std::str::FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(LogFormatError(text.to_owned())),
        }
    }
}

/// The operator's file, TOML. Every key is optional; an unknown one is an error.
///
/// ```toml
/// listen = ["127.0.0.1:8080", "unix:/run/webtask/webtask.sock"]   # one text will do
/// tls-cert = "server.pem"
/// tls-key = "server.key"
/// ops = "127.0.0.1:9090"
/// drain = "30s"
/// keys = "keys.toml"
/// allow-code = ["https://code.example.com/"]
/// cache-dir = "/var/cache/webtask"
/// code-mirror = ["https://code.example.com/=https://mirror.example.com/code/"]
/// registry-auth = "registries.json"
/// allow-private = ["10.1.2.3/32"]
/// dns = ["10.0.0.53:53"]
/// ca = ["internal-ca.pem"]
/// policy = "platform.wit"
/// unknown-tenants = "refuse"
/// log-format = "json"
///
/// [limits]
/// wall = "5s"
/// memory = "32MiB"
///
/// [tenants.acme]
/// invocations = 50
/// rate = 6000
/// allow-code = ["https://code.example.com/acme/"]
/// out = ["GET,POST https://api.acme.example/*"]
/// limits.memory = "16MiB"
/// ```
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ConfigFile {
    /// Where to listen: addresses and ports, `unix:` and paths.
    #[serde(deserialize_with = "one_or_many")]
    pub listen: Vec<String>,
    /// The PEM file of the certificate chain that TCP listeners show; without one they do not speak TLS.
    pub tls_cert: Option<PathBuf>,
    /// The PEM file of the certificate's private key.
    pub tls_key: Option<PathBuf>,
    /// Where the operations listener listens; nowhere if nothing is said.
    pub ops: Option<String>,
    /// How long what runs may go on after the end was asked for; 30 s if nothing is said.
    #[serde(deserialize_with = "some_duration")]
    pub drain: Option<Duration>,
    /// How long connections are still accepted after the end was asked for; not at all if nothing is said.
    #[serde(deserialize_with = "some_duration")]
    pub linger: Option<Duration>,
    /// The keyring file.
    pub keys: Option<PathBuf>,
    /// The file of revocations; beside the keyring if nothing is said.
    pub revocations: Option<PathBuf>,
    /// Where code may come from; any public https origin if nothing is said.
    pub allow_code: Vec<String>,
    /// The directory that keeps compiled code; none if nothing is said.
    pub cache_dir: Option<PathBuf>,
    /// Prefixes of code URLs, and what they are fetched from in their place: `FROM=TO` or `FROM=TO only`.
    pub code_mirror: Vec<String>,
    /// The file of credentials of registries, in the form of docker's `config.json`.
    pub registry_auth: Option<PathBuf>,
    /// Address ranges beyond the public internet that may be dialled.
    pub allow_private: Vec<String>,
    /// The name servers to ask; the machine's if nothing is said.
    pub dns: Vec<String>,
    /// PEM files of roots that outbound TLS trusts beside the machine's.
    pub ca: Vec<PathBuf>,
    /// The file of the policy, WIT.
    pub policy: Option<PathBuf>,
    /// What becomes of tokens of tenants that have no table: `serve` or `refuse`. Default `serve`.
    pub unknown_tenants: UnknownTenants,
    /// Whose tokens read the log of webtasks at `GET /v1/logs`: `nobody`, `issuers`, `whole-tokens` or `tokens`.
    /// Default `whole-tokens`.
    pub read_logs: ReadLogs,
    /// How lines of the log are written: `"json"` or `"text"`.
    pub log_format: Option<LogFormat>,
    /// The numbers in force.
    pub limits: Limits,
    /// What single tenants have at most, by name.
    pub tenants: BTreeMap<String, TenantFile>,
}

/// Why a configuration is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not understood.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong, with the nearest known key for an unknown one.
        reason: String,
    },
    /// A value that is well-formed and cannot be.
    #[error("{0}")]
    Value(String),
}

impl ConfigFile {
    /// Parses the text of a file.
    ///
    /// # Errors
    /// [`ConfigError::Line`] for what is not TOML, an unknown key or a value that is none.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            ConfigError::Line {
                line: before
                    .unwrap_or_default()
                    .matches('\n')
                    .count()
                    .saturating_add(1),
                reason: suggested(error.message()),
            }
        })
    }

    /// The tenants, and all that their tables name, read and held against the limits of this file.
    ///
    /// # Errors
    /// [`ConfigError::Value`], with the table and the key.
    pub fn tenants(&self) -> Result<Tenants, ConfigError> {
        let read = self.tenants.iter().map(|(name, tenant)| {
            let read = tenant.read(name, &self.limits)?;
            Ok((name.clone(), read))
        });
        Ok(Tenants {
            named: read.collect::<Result<_, ConfigError>>()?,
            unknown: self.unknown_tenants,
            read_logs: self.read_logs,
        })
    }
}

/// Keys as alike as this (Jaro and Winkler, 0 to 1) are taken for what was meant.
const ALIKE: f64 = 0.8;

/// What serde says of an unknown key, with the key that was meant instead of all that there are.
fn suggested(message: &str) -> String {
    let message = message.replace('\n', " ");
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message;
    };
    // Names stand between backticks: the unknown one, then all that are known.
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    let alike = |known: &str| (strsim::jaro_winkler(unknown, known), known.to_owned());
    let nearest = names.map(alike).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, known)) if likeness >= ALIKE => {
            format!("unknown key {unknown:?}; did you mean {known:?}?")
        }
        _ => message.replacen("unknown field", "unknown key", 1),
    }
}

fn some_duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    limits::duration::deserialize(from).map(Some)
}

/// A list of texts, or one text that is its only one.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text, or a list of texts")]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(from)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_set_and_the_rest_is_the_default() {
        let file = ConfigFile::parse(
            "listen = '127.0.0.1:0'\n[limits]\nwall = '5s'\nmemory = '32MiB'\ncalls = 3\n",
        )
        .unwrap();
        assert_eq!(file.limits.wall, Duration::from_secs(5));
        assert_eq!(file.limits.memory, 32 << 20);
        assert_eq!(file.limits.calls, 3);
        assert_eq!(file.limits.cpu, Limits::default().cpu);
    }

    #[test]
    fn a_listener_is_one_text_or_a_list() {
        let listen = |text: &str| ConfigFile::parse(text).map(|file| file.listen);
        assert_eq!(listen("listen = 'a:1'").unwrap(), ["a:1"]);
        assert_eq!(
            listen("listen = ['a:1', 'unix:/b']").unwrap(),
            ["a:1", "unix:/b"]
        );
        let error = listen("listen = 8080").unwrap_err().to_string();
        assert!(error.contains("a text, or a list of texts"), "{error}");
        let file = ConfigFile::parse("drain = '90s'").unwrap();
        assert_eq!(file.drain, Some(Duration::from_secs(90)));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest_one() {
        for (text, line, nearest) in [
            ("lisen = 'x'", 1, "listen"),
            ("\n[limits]\nmemroy = '1MiB'", 3, "memory"),
            ("[tenants.a]\n\nallow_code = []", 3, "allow-code"),
            ("[tenants.a.limits]\nmemory-bytes = '1MiB'", 2, "memory"),
            ("[tenants.a]\nlimits.wal = '1s'", 2, "wall"),
        ] {
            let error = ConfigFile::parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("line {line}: unknown key")),
                "{error}"
            );
            assert!(
                error.contains(&format!("did you mean {nearest:?}?")),
                "{error}"
            );
        }
        // Nothing is near: all that there are.
        let error = ConfigFile::parse("[tenants.a.limits]\nqqq = 1").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("`wall`") && !error.contains("invocations"),
            "{error}"
        );
    }

    fn tenants(text: &str) -> Result<Tenants, String> {
        let file = ConfigFile::parse(text).map_err(|error| error.to_string())?;
        file.tenants().map_err(|error| error.to_string())
    }

    #[test]
    fn a_tenant_lowers_and_never_raises() {
        let text = "[limits]\nmemory = '32MiB'\n[tenants.a]\nrate = 5\n[tenants.a.limits]\nmemory = '1MiB'\ncalls = 3\n";
        let read = tenants(text).unwrap();
        let tenant = read.named.get("a").unwrap();
        assert_eq!((tenant.limits.memory, tenant.limits.calls), (1 << 20, 3));
        assert_eq!(tenant.limits.wall, Limits::default().wall);
        assert_eq!(tenant.invocations, Limits::default().tenant_invocations);

        for (text, parts) in [
            (
                "[limits]\nmemory = '32MiB'\n[tenants.a.limits]\nmemory = '64MiB'",
                ["memory = 67108864", "33554432"],
            ),
            ("[tenants.a.limits]\nwall = '1h'", ["wall = 3600s", "10s"]),
            (
                "[tenants.a.limits]\ncalls = 'x'",
                ["tenants.a", "invalid type"],
            ),
            ("[tenants.a]\ninvocations = 501", ["501", "500"]),
            (
                "[tenants.a]\nout = ['get https://h/']",
                ["[tenants.a], out", "get https://h/"],
            ),
            (
                "[tenants.a]\nallow-code = ['ftp://h/']",
                ["[tenants.a], allow-code", "ftp://h/"],
            ),
            (
                "[tenants.a]\npolicy = 'no-such-file.wit'",
                ["[tenants.a], policy", "no-such-file.wit"],
            ),
            ("[tenants.'a b']", ["[tenants.a b]", "1 to 64"]),
        ] {
            let error = tenants(text).unwrap_err();
            for part in parts {
                assert!(error.contains(part), "{text}: {error}");
            }
        }
    }
}
