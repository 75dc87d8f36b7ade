//! `Config`: what a host is made of, and the file that an operator writes.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use webtask_token::Keyring;

use crate::{
    CodePrefix, Limits, Revocations, Tenants, UnknownTenants, audit::Policy, tenant::TenantFile,
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
    /// Where code may come from.
    pub code: Vec<CodePrefix>,
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
}

/// The operator's file, TOML. Every key is optional; an unknown one is an error.
///
/// ```toml
/// listen = "127.0.0.1:8080"
/// keys = "keys.toml"
/// allow-code = ["https://code.example.com/"]
/// allow-private = ["10.1.2.3/32"]
/// dns = ["10.0.0.53:53"]
/// ca = ["internal-ca.pem"]
/// policy = "platform.wit"
/// unknown-tenants = "refuse"
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
    /// Where to listen; `127.0.0.1:8080` if nothing is said.
    pub listen: Option<String>,
    /// The keyring file.
    pub keys: Option<PathBuf>,
    /// The file of revocations; beside the keyring if nothing is said.
    pub revocations: Option<PathBuf>,
    /// Where code may come from; any public https origin if nothing is said.
    pub allow_code: Vec<String>,
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
                line: before.unwrap_or_default().matches('\n').count() + 1,
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use std::time::Duration;

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
