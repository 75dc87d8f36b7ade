//! `Config`: what a host is made of, and the file that an operator writes.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;
use webtask_token::Keyring;

use crate::{CodePrefix, Limits, Revocations, audit::Policy, limits};

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
    fn an_unknown_key_is_an_error_that_names_it() {
        for text in ["lisen = 'x'", "[limits]\nmemroy = '1MiB'"] {
            let error = ConfigFile::parse(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }
}
