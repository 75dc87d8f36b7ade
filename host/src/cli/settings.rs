//! What the operator says, from file and flags, in its final types: for `serve`, and for `config check`.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use webtask_host::{
    CodeMirror, CodeMirrorError, CodePrefix, Config, ConfigFile, Limits, ReadLogs, RegistryAuth,
    Revocations, Tenants, audit::Policy,
};
use webtask_token::Keyring;

use super::{Failure, compile_worker::this_program, keys::read_private, sockets};

/// All of it but the keys, which are read by who uses them.
#[derive(Debug)]
pub(super) struct Settings {
    /// As they were written; `serve` has them in its sockets.
    listen: Vec<String>,
    tls: bool,
    pub(super) keys: Option<PathBuf>,
    pub(super) revocations: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) code: Vec<CodePrefix>,
    /// As they were written, for people.
    pub(super) code_texts: Vec<String>,
    pub(super) mirrors: Vec<CodeMirror>,
    pub(super) registries: RegistryAuth,
    pub(super) private: Vec<IpNet>,
    pub(super) dns: Vec<SocketAddr>,
    pub(super) ca: Vec<PathBuf>,
    pub(super) policy: Option<Policy>,
    pub(super) cache: Option<PathBuf>,
    pub(super) tenants: Tenants,
}

impl Settings {
    /// Reads whatever `file` names, and holds one thing against the other.
    pub(super) fn of(file: ConfigFile) -> Result<Self, Failure> {
        let tenants = file
            .tenants()
            .map_err(|error| Failure::refused(error.to_string()))?;
        let tls = sockets::tls(file.tls_cert, file.tls_key)?.is_some();
        Ok(Self {
            tenants,
            listen: file.listen,
            tls,
            keys: file.keys,
            revocations: file.revocations,
            limits: file.limits,
            code: code_prefixes(&file.allow_code)?,
            code_texts: file.allow_code,
            mirrors: code_mirrors(&file.code_mirror)?,
            registries: match &file.registry_auth {
                Some(path) => read_registries(path)?,
                None => RegistryAuth::default(),
            },
            private: private_ranges(&file.allow_private)?,
            dns: name_servers(&file.dns)?,
            ca: file.ca,
            cache: file.cache_dir,
            policy: file.policy.as_deref().map(read_policy).transpose()?,
        })
    }

    /// The configuration of a host, without traces.
    pub(super) fn config(self, keyring: Keyring, revocations: Revocations) -> Config {
        Config {
            revocations,
            limits: self.limits,
            cache: self.cache,
            mirrors: self.mirrors,
            registries: self.registries,
            compiler: this_program(),
            private: self.private,
            dns: self.dns,
            ca: self.ca,
            policy: self.policy,
            tenants: self.tenants,
            ..Config::new(keyring, self.code)
        }
    }

    /// What lets more happen than without it, or looks like a mistake: one line each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut add = |remark: String| remarks.push(remark);
        let local = |listen: &str| {
            let address = listen.parse::<SocketAddr>();
            listen.starts_with("unix:") || address.is_ok_and(|address| address.ip().is_loopback())
        };
        for listen in self
            .listen
            .iter()
            .filter(|listen| !self.tls && !local(listen))
        {
            add(format!(
                "listen = {listen:?} is more than loopback: callers reach it in clear text, so set tls-cert and tls-key, or put a proxy that speaks TLS in front"
            ));
        }
        for range in &self.private {
            add(format!(
                "allow-private opens {range} to webtasks whose grants name an address in it"
            ));
        }
        for code in &self.code_texts {
            let (scheme, rest) = code.split_once(':').unwrap_or((code, ""));
            if matches!(scheme, "http" | "oci+http") {
                add(format!(
                    "allow-code has {code}: code that comes in clear text is safe only if tokens pin it"
                ));
            }
            if rest.trim_matches('/').is_empty() && matches!(scheme, "http" | "https" | "oci") {
                add(format!(
                    "allow-code has {code}: code of any such origin runs"
                ));
            }
        }
        if self.code_texts.is_empty() {
            add("allow-code is not set: code of any public https origin runs".to_owned());
        }
        if self.policy.is_none() && self.tenants.named.is_empty() {
            add("neither policy nor tenants: tokens alone say what is allowed".to_owned());
        }
        if self.tenants.read_logs == ReadLogs::Tokens {
            add("read-logs is tokens: whoever has any token, a page or an app too, reads what its calls logged".to_owned());
        }
        remarks.extend(self.about_tenants());
        remarks.extend(about_limits(&self.limits));
        remarks
    }

    fn about_tenants(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let mut named: Vec<_> = self.tenants.named.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        for (name, tenant) in named {
            let mut about = |what: &str| remarks.push(format!("[tenants.{name}] {what}"));
            if tenant.code.as_ref().is_some_and(Vec::is_empty) {
                about("has an empty allow-code: it runs nothing");
            }
            if tenant.out.as_ref().is_some_and(Vec::is_empty) {
                about("has an empty out: it sends no requests");
            }
            if tenant.rate == Some(0) || tenant.invocations == 0 {
                about("is never served: its rate or its invocations are 0");
            }
            if tenant.invocations == self.limits.invocations {
                about("may take all places for invocations");
            }
        }
        remarks
    }
}

/// Numbers that take a defence away.
fn about_limits(limits: &Limits) -> Vec<String> {
    let mut remarks = Vec::new();
    let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    for (own, of_tenant, all, of_all) in [
        (
            "tenant-invocations",
            limits.tenant_invocations,
            "invocations",
            limits.invocations,
        ),
        (
            "tenant-fetches",
            count(limits.tenant_fetches),
            "fetches",
            count(limits.fetches),
        ),
    ] {
        if of_tenant >= of_all {
            remarks.push(format!(
                "[limits] {own} = {of_tenant} is not below {all} = {of_all}: one tenant can take all of them"
            ));
        }
    }
    let defaults = Limits::default();
    for (key, now, default) in [
        ("wall", limits.wall, defaults.wall),
        ("cpu", limits.cpu, defaults.cpu),
    ] {
        if now > default * 6 {
            remarks.push(format!(
                "[limits] {key} = {now:?} is long: runs that hang hold their places"
            ));
        }
    }
    let memory = limits.memory.saturating_mul(u64::from(limits.invocations));
    let usual = defaults.memory * u64::from(defaults.invocations);
    if memory > usual {
        remarks.push(format!(
            "[limits] memory times invocations is {} GiB: this much the guests may take together",
            memory >> 30
        ));
    }
    remarks
}

/// Reads and parses a configuration; the failure names the file and the line.
pub(super) fn read_config(path: &Path) -> Result<ConfigFile, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    ConfigFile::parse(&text).map_err(|error| {
        Failure::refused(format!("{shown}, {error}"))
            .hint("`webtask config default` prints every key with what it does")
    })
}

/// A policy that is not understood is no policy: nothing is served without it.
fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read the policy {shown}: {error}")))?;
    Policy::parse(&shown, &text).map_err(|error| Failure::refused(error.to_string()))
}

fn code_prefixes(given: &[String]) -> Result<Vec<CodePrefix>, Failure> {
    if given.is_empty() {
        return Ok(vec![CodePrefix::any_https()]);
    }
    let parse = |text: &String| {
        text.parse()
            .map_err(|error: webtask_host::CodePrefixError| {
                Failure::usage(format!("--allow-code: {error}")).hint("name a directory that exists, or a URL prefix such as https://code.example.com/")
            })
    };
    given.iter().map(parse).collect()
}

fn code_mirrors(given: &[String]) -> Result<Vec<CodeMirror>, Failure> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|error: CodeMirrorError| Failure::usage(format!("--code-mirror: {error}")))
    };
    given.iter().map(parse).collect()
}

fn read_registries(path: &Path) -> Result<RegistryAuth, Failure> {
    let text = read_private(path, "who reads it has the passwords of registries")?;
    RegistryAuth::parse(text.expose())
        .map_err(|error| Failure::refused(format!("{}: {error}", path.display())))
}

pub(super) fn private_ranges(given: &[String]) -> Result<Vec<IpNet>, Failure> {
    let parse = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| address()).map_err(|_| {
            Failure::usage(format!("--allow-private: {text:?} is no address or range"))
                .hint("write 10.1.2.3, 10.0.0.0/8 or fd00::/8")
        })
    };
    given.iter().map(parse).collect()
}

fn name_servers(given: &[String]) -> Result<Vec<SocketAddr>, Failure> {
    let parse = |text: &String| {
        let address = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        text.parse::<SocketAddr>()
            .or_else(|_| address())
            .map_err(|_| {
                Failure::usage(format!("--dns: {text:?} is no address"))
                    .hint("write 10.0.0.53, 127.0.0.1:5353 or [fd00::53]:53")
            })
    };
    given.iter().map(parse).collect()
}
