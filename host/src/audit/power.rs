//! Powers: which interface gives what, and on what condition. The one table of the audit.
//!
//! Both generations of WASI end in the same rows, so that nothing is asked or granted by version.

use std::{fmt, str::FromStr};

/// What an interface is for, in the words of a platform owner.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Power {
    /// Requests to other servers.
    OutboundHttp,
    /// Secrets that the code reads.
    Secrets,
    /// Parameters of the token, also as environment variables.
    Parameters,
    /// Log lines.
    Logging,
    /// What the code may know of its own run.
    Invocation,
    /// The time.
    Clocks,
    /// Random numbers.
    Random,
    /// Types and streams that other interfaces are made of.
    Types,
    /// Files and directories.
    Files,
    /// Raw network sockets and name lookup.
    Sockets,
    /// Standard input, terminals, the exit of a process.
    Process,
}

/// On what condition a power is there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Standing {
    /// A token has to grant it.
    Granted,
    /// Every webtask has it, within limits.
    Always,
    /// It can be imported and gives nothing: language runtimes import it whether it is used or not.
    Nothing,
    /// This runtime does not have it: a component that imports it is refused when it is loaded.
    Absent,
}

impl Power {
    /// On what condition it is there.
    #[must_use]
    pub fn standing(self) -> Standing {
        match self {
            Self::OutboundHttp | Self::Secrets => Standing::Granted,
            Self::Parameters | Self::Logging | Self::Invocation | Self::Clocks | Self::Random => {
                Standing::Always
            }
            Self::Types | Self::Files | Self::Sockets | Self::Process => Standing::Nothing,
        }
    }

    /// The name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OutboundHttp => "outbound HTTP",
            Self::Secrets => "secrets",
            Self::Parameters => "parameters",
            Self::Logging => "logging",
            Self::Invocation => "invocation",
            Self::Clocks => "clocks",
            Self::Random => "random numbers",
            Self::Types => "types and streams",
            Self::Files => "files",
            Self::Sockets => "sockets",
            Self::Process => "process",
        }
    }

    /// One sentence about it.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::OutboundHttp => {
                "Sends requests to other servers, each of which a token has to grant."
            }
            Self::Secrets => "Reads the readable secrets of its token.",
            Self::Parameters => {
                "Parameters of the token, which are not secret; none if it has none."
            }
            Self::Logging => "Log lines, bounded and escaped.",
            Self::Invocation => "Its tenant, its token's id, its request's id and its deadline.",
            Self::Clocks => "The time.",
            Self::Random => "Random numbers.",
            Self::Types => "Types and streams that other interfaces are made of.",
            Self::Files => "There are no files.",
            Self::Sockets => "Each socket is denied.",
            Self::Process => "Standard input and terminal are empty; exit ends the run.",
        }
    }
}

/// The name of an interface: `wasi:http/types@0.2.12`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Interface {
    /// Namespace and name of the package: `wasi:http`.
    pub package: String,
    /// The interface in it: `types`.
    pub name: String,
    /// The package's version.
    pub version: Option<String>,
}

/// The text is not the name of an interface.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the name of an interface, such as wasi:http/types@0.2.12")]
pub struct NotAnInterface;

impl FromStr for Interface {
    type Err = NotAnInterface;

    fn from_str(text: &str) -> Result<Self, NotAnInterface> {
        let (package, rest) = text.split_once('/').ok_or(NotAnInterface)?;
        let (name, version) = match rest.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (rest, None),
        };
        let id = |id: &str| {
            let byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            !id.is_empty() && id.bytes().all(byte)
        };
        let (namespace, short) = package.split_once(':').ok_or(NotAnInterface)?;
        let plain = |v: &String| v.bytes().all(|b| b.is_ascii_graphic());
        if id(namespace) && id(short) && id(name) && version.as_ref().is_none_or(plain) {
            Ok(Self {
                package: package.to_owned(),
                name: name.to_owned(),
                version,
            })
        } else {
            Err(NotAnInterface)
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.package, self.name)?;
        self.version.iter().try_for_each(|v| write!(f, "@{v}"))
    }
}

/// Which versions of an interface the runtime has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Track {
    /// `0.2.x`
    P2,
    /// `0.3.x`
    P3,
    /// `0.2.x` and `0.3.x`
    Both,
    /// `0.1.x`, ours
    Own,
    /// This very version: pre-releases are compatible with nothing else.
    Only(&'static str),
}

use Power::{
    Clocks, Files, Invocation, Logging, OutboundHttp, Parameters, Process, Random, Secrets,
    Sockets, Types,
};
use Track::{Both, Only, Own, P2, P3};

/// Every interface that the runtime links. A test asks the linker for each of them.
const LINKED: &[(&str, &str, Track, Power)] = &[
    ("wasi:http", "outgoing-handler", P2, OutboundHttp),
    ("wasi:http", "client", P3, OutboundHttp),
    ("webtask:runtime", "secrets", Own, Secrets),
    ("wasi:config", "store", Only("0.2.0-rc.1"), Parameters),
    ("wasi:cli", "environment", Both, Parameters),
    ("wasi:logging", "logging", Only("0.1.0-draft"), Logging),
    ("wasi:cli", "stdout", Both, Logging),
    ("wasi:cli", "stderr", Both, Logging),
    ("webtask:runtime", "invocation", Own, Invocation),
    ("wasi:clocks", "monotonic-clock", Both, Clocks),
    ("wasi:clocks", "wall-clock", P2, Clocks),
    ("wasi:clocks", "system-clock", P3, Clocks),
    ("wasi:random", "random", Both, Random),
    ("wasi:random", "insecure", Both, Random),
    ("wasi:random", "insecure-seed", Both, Random),
    ("wasi:http", "types", Both, Types),
    ("wasi:io", "error", P2, Types),
    ("wasi:io", "poll", P2, Types),
    ("wasi:io", "streams", P2, Types),
    ("wasi:cli", "types", P3, Types),
    ("wasi:clocks", "types", P3, Types),
    ("wasi:filesystem", "types", Both, Files),
    ("wasi:filesystem", "preopens", Both, Files),
    ("wasi:sockets", "network", P2, Sockets),
    ("wasi:sockets", "instance-network", P2, Sockets),
    ("wasi:sockets", "tcp", P2, Sockets),
    ("wasi:sockets", "tcp-create-socket", P2, Sockets),
    ("wasi:sockets", "udp", P2, Sockets),
    ("wasi:sockets", "udp-create-socket", P2, Sockets),
    ("wasi:sockets", "ip-name-lookup", Both, Sockets),
    ("wasi:sockets", "types", P3, Sockets),
    ("wasi:cli", "exit", Both, Process),
    ("wasi:cli", "stdin", Both, Process),
    ("wasi:cli", "terminal-input", Both, Process),
    ("wasi:cli", "terminal-output", Both, Process),
    ("wasi:cli", "terminal-stdin", Both, Process),
    ("wasi:cli", "terminal-stdout", Both, Process),
    ("wasi:cli", "terminal-stderr", Both, Process),
];

/// The versions that the runtime itself is made of.
const OWN: &str = "0.1.0";
const P2_NOW: &str = "0.2.12";
const P3_NOW: &str = "0.3.0";

impl Track {
    fn has(self, version: &str) -> bool {
        // Build metadata (SemVer section 10) is no part of the version: the linker leaves it away, too.
        let plain = version.split('+').next().unwrap_or_default();
        let patch = |minor: &str| {
            let patch = plain.strip_prefix(minor);
            patch
                .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
        };
        match self {
            P2 => patch("0.2."),
            P3 => patch("0.3."),
            Both => patch("0.2.") || patch("0.3."),
            Own => patch("0.1."),
            Only(one) => version == one,
        }
    }

    fn versions(self) -> &'static [&'static str] {
        match self {
            P2 => &[P2_NOW],
            P3 => &[P3_NOW],
            Both => &[P2_NOW, P3_NOW],
            Own => &[OWN],
            Only("0.1.0-draft") => &["0.1.0-draft"],
            Only(_) => &["0.2.0-rc.1"],
        }
    }
}

impl Interface {
    /// What it is for; `None` if this runtime does not have it.
    #[must_use]
    pub fn power(&self) -> Option<Power> {
        let version = self.version.as_deref().unwrap_or_default();
        let row = LINKED.iter().find(|(package, name, track, _)| {
            *package == self.package && *name == self.name && track.has(version)
        });
        row.map(|(.., power)| *power)
    }

    /// On what condition a component may import it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.power().map_or(Standing::Absent, Power::standing)
    }

    /// True if it is the export that the runtime calls: an HTTP handler of either generation.
    #[must_use]
    pub fn serves(&self) -> bool {
        let version = self.version.as_deref().unwrap_or_default();
        self.package == "wasi:http"
            && match self.name.as_str() {
                "incoming-handler" => P2.has(version),
                "handler" => P3.has(version),
                _ => false,
            }
    }

    /// The same for both generations of WASI and all versions: package and interface as 0.2 calls them.
    pub(crate) fn key(&self) -> (String, String) {
        let name = match (self.package.as_str(), self.name.as_str()) {
            ("wasi:http", "client") => "outgoing-handler",
            ("wasi:clocks", "system-clock") => "wall-clock",
            (_, name) => name,
        };
        (self.package.clone(), name.to_owned())
    }

    /// Every interface that the runtime has, in each generation, in the order of the powers.
    pub fn all() -> impl Iterator<Item = (Self, Power)> {
        LINKED.iter().flat_map(|(package, name, track, power)| {
            let of = |version: &&str| Self {
                package: (*package).to_owned(),
                name: (*name).to_owned(),
                version: Some((*version).to_owned()),
            };
            track
                .versions()
                .iter()
                .map(move |version| (of(version), *power))
        })
    }

    /// The exports that the runtime calls.
    pub(crate) fn handlers() -> [Self; 2] {
        [("incoming-handler", P2_NOW), ("handler", P3_NOW)].map(|(name, version)| Self {
            package: "wasi:http".to_owned(),
            name: name.to_owned(),
            version: Some(version.to_owned()),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn power(text: &str) -> Option<Power> {
        text.parse::<Interface>().unwrap().power()
    }

    #[test]
    fn both_generations_and_all_their_versions_are_the_same_powers() {
        for (name, expected) in [
            ("wasi:http/outgoing-handler@0.2.0", Some(OutboundHttp)),
            ("wasi:http/outgoing-handler@0.2.99", Some(OutboundHttp)),
            ("wasi:http/client@0.3.0", Some(OutboundHttp)),
            ("wasi:http/client@0.2.0", None),
            ("wasi:http/outgoing-handler@0.3.0", None),
            ("wasi:http/outgoing-handler@0.2.0-rc-2023-11-10", None),
            ("wasi:http/outgoing-handler@0.20.0", None),
            ("wasi:http/outgoing-handler@0.2.", None),
            ("wasi:http/outgoing-handler", None),
            ("wasi:config/store@0.2.0-rc.1", Some(Parameters)),
            ("wasi:config/store@0.2.0", None),
            ("wasi:keyvalue/store@0.2.0", None),
            ("webtask:runtime/secrets@0.1.0", Some(Secrets)),
            ("other:runtime/secrets@0.1.0", None),
        ] {
            assert_eq!(power(name), expected, "{name}");
        }
        for (interface, power) in Interface::all() {
            assert_eq!(interface.power(), Some(power));
            assert_eq!(interface.to_string().parse(), Ok(interface));
        }
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        for text in [
            "",
            "a",
            "a:b",
            "a/b@1",
            "a:b/",
            "a:b/c d",
            "a:b/c@\n",
            "a:b/c\n@1",
            ":/",
        ] {
            assert!(text.parse::<Interface>().is_err(), "{text:?}");
        }
    }
}
