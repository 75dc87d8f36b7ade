//! `Config`: what a host is made of, and the file that an operator writes.

use std::{net::SocketAddr, path::PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use webtask_token::Keyring;

use crate::{CodeMirror, CodePrefix, Limits, RegistryAuth, Revocations, audit::Policy};

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
    /// Where it is fetched from in the place of that; tried in this order.
    pub mirrors: Vec<CodeMirror>,
    /// Credentials of registries.
    pub registries: RegistryAuth,
    /// Address ranges beyond the public internet that may be dialled, by literal address only.
    pub private: Vec<IpNet>,
    /// The servers that names are asked of; none for those of the machine's configuration.
    pub dns: Vec<SocketAddr>,
    /// PEM files of roots that outbound TLS trusts beside the machine's.
    pub ca: Vec<PathBuf>,
    /// The ceiling for all tokens and components; without one tokens alone say what is allowed.
    pub policy: Option<Policy>,
}

/// The operator's file, TOML. Every key is optional; an unknown one is an error.
///
/// ```toml
/// listen = "127.0.0.1:8080"
/// keys = "keys.toml"
/// allow-code = ["https://code.example.com/"]
/// code-mirror = ["https://code.example.com/=https://mirror.example.com/code/"]
/// registry-auth = "registries.json"
/// allow-private = ["10.1.2.3/32"]
/// dns = ["10.0.0.53:53"]
/// ca = ["internal-ca.pem"]
/// policy = "platform.wit"
///
/// [limits]
/// wall = "5s"
/// memory = "32MiB"
/// ```
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ConfigFile {
    /// Where to listen.
    pub listen: Option<String>,
    /// The keyring file.
    pub keys: Option<PathBuf>,
    /// The file of revocations; beside the keyring if nothing is said.
    pub revocations: Option<PathBuf>,
    /// Where code may come from; any public https origin if nothing is said.
    pub allow_code: Vec<String>,
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
    /// The numbers in force.
    pub limits: Limits,
}

impl ConfigFile {
    /// Parses the text of a file. The error names the line, the key and the keys that are known.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
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
    fn an_unknown_key_is_an_error_that_names_it() {
        for text in ["lisen = 'x'", "[limits]\nmemroy = '1MiB'"] {
            let error = ConfigFile::parse(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }
}
