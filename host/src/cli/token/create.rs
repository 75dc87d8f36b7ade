//! `webtask token create`: flags to claims to a token.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use webtask_token::units::parse_duration;
use webtask_token::{Carrier, Claims, DEFAULT_TENANT, Keyring};

use super::secrets::{Raw, SecretFlags, invalid, plain};
use super::source::{self, Source};
use super::{hex, now};
use crate::cli::keys::read_keyring;
use crate::cli::{Failure, print};

/// Make a token and print it
///
/// A token names code, the secrets it gets, what it may do, and until when. What is not named here the
/// code cannot have: no secret, no outbound call, no file. Whoever holds the token can run that code
/// with those rights, and can neither read the secrets nor change anything.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  A file; its digest is computed here:
    webtask token create --keys keys.toml --url ./hello.wasm

  A secret that the code may read, and one place that it may call:
    webtask token create --keys keys.toml --url ./charge.wasm \\
      --secret-env api-key=STRIPE_KEY --allow 'POST https://api.stripe.com/v1/*'

  A secret that the code never sees: the runtime writes it into that one header:
    webtask token create --keys keys.toml --url ./charge.wasm --secret-file stripe=key.txt \\
      --bind 'stripe=POST https://api.stripe.com/v1/charges authorization: Bearer {}' \\
      --allow 'POST https://api.stripe.com/v1/charges'

  A webhook for one hour, with limits:
    webtask token create --keys keys.toml --url https://code.example.com/hook.wasm \\
      --sha256 \"$(sha256sum < hook.wasm | cut -c1-64)\" \\
      --via path --expires 1h --limit memory=64MiB --limit wall=5s")]
pub(super) struct Create {
    /// The keyring file; its sealing key seals the token (see `webtask keys generate`)
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: PathBuf,
    /// Where the component is: a path, or a file:, https: or http: URL
    #[arg(long)]
    url: String,
    /// The component's SHA-256, 64 hexadecimal digits; for a local file it is computed
    #[arg(long, value_name = "HEX", conflicts_with = "unpinned")]
    sha256: Option<String>,
    /// Run whatever the URL serves, today and tomorrow: whoever controls it gets the secrets
    #[arg(long)]
    unpinned: bool,
    /// The tenant that the token is counted and logged under
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
    /// When the token ends: a time from now such as 10m, 12h, 30d, or Unix seconds
    #[arg(long, value_name = "TIME", default_value = "30d")]
    expires: String,
    /// When the token begins: a time from now, or Unix seconds [default: now]
    #[arg(long, value_name = "TIME")]
    not_before: Option<String>,
    #[command(flatten)]
    secrets: SecretFlags,
    /// Outbound requests that the code may send; a * at the end of the path is a prefix, a * for the
    /// methods is any method
    #[arg(long = "allow", value_name = "METHODS URL")]
    allows: Vec<String>,
    /// A parameter that the code reads; not a secret
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<Raw>,
    /// A limit below the runtime's own: cpu=200ms, wall=5s, memory=64MiB, request=1MiB, response=1MiB,
    /// log=16KiB, calls=3, rate=60 (a minute)
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Let the token stand in a URL as well, for webhooks: URLs are logged by everybody on the way
    #[arg(long, value_name = "CARRIER", value_parser = ["path"])]
    via: Option<String>,
    /// Print JSON: token, id, kid, expires
    #[arg(long)]
    json: bool,
}

impl Create {
    pub(super) fn run(self) -> Result<(), Failure> {
        let now = now();
        let code = source::resolve(&self.url, self.sha256.as_deref(), self.unpinned)?;
        let claims = self.claims(&code, now)?;
        let keyring = read_keyring(&self.keys)?;
        let sealed = keyring.seal(&claims);
        let token = sealed.map_err(|error| Failure::refused(error.to_string()))?;
        self.advise(&code, &claims);
        print(if self.json {
            format!("{}\n", describe(&keyring, &token, &claims)?)
        } else {
            format!("{token}\n")
        })
    }

    fn claims(&self, code: &Source, now: u64) -> Result<Claims, Failure> {
        let mut claims = Claims::new(code.url.clone(), now);
        claims.sha256 = code.sha256;
        claims.tenant.clone_from(&self.tenant);
        claims.exp = time("--expires", &self.expires, now)?;
        claims.nbf = self
            .not_before
            .as_ref()
            .map(|text| time("--not-before", text, now))
            .transpose()?;
        claims.secrets = self.secrets.read()?;
        for param in &self.params {
            let (name, value) = param.pair("--param")?;
            if claims
                .params
                .insert(name.to_owned(), value.to_owned())
                .is_some()
            {
                return Err(Failure::usage(format!(
                    "--param: {} is given twice",
                    plain(name)
                )));
            }
        }
        for text in &self.allows {
            claims.out.push(
                text.parse()
                    .map_err(|error| invalid(&format!("--allow {text:?}"), error))?,
            );
        }
        for text in &self.limits {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                Failure::usage("--limit: expected NAME=VALUE, such as memory=64MiB")
            })?;
            claims
                .lim
                .set(name, value)
                .map_err(|error| invalid(&format!("--limit {text:?}"), error))?;
        }
        claims.via.extend(self.via.as_ref().map(|_| Carrier::Path));
        Ok(claims)
    }

    /// Says on stderr what is allowed and likely not meant.
    fn advise(&self, code: &Source, claims: &Claims) {
        if let (Some(path), Some(digest)) = (&code.computed, &code.sha256) {
            eprintln!(
                "note: pinned to sha256 {} of {}",
                hex(digest),
                path.display()
            );
        }
        if self.secrets.on_command_line() {
            eprintln!(
                "hint: --secret leaves the value in the shell's history; --secret-file and --secret-env do not"
            );
        }
        if claims.sha256.is_none() {
            eprintln!(
                "note: the token is unpinned; whoever controls the URL gets its secrets and rights"
            );
        }
        for (name, secret) in &claims.secrets {
            for slot in &secret.slots {
                let (origin, path) = (&slot.origin, slot.path.trim_end_matches('*'));
                let scheme = origin.scheme().as_str();
                if !claims.out.iter().any(|grant| {
                    grant.allows(&slot.method, scheme, origin.host(), origin.port(), path)
                }) {
                    eprintln!(
                        "hint: {name} is bound to a request that is not granted; --allow '{} {origin}{}' grants it",
                        slot.method, slot.path
                    );
                }
                if scheme == "http" {
                    eprintln!("note: {name} goes to {origin} in clear text");
                }
            }
        }
    }
}

fn describe(keyring: &Keyring, token: &str, claims: &Claims) -> Result<serde_json::Value, Failure> {
    let opened = keyring.open(token, claims.nbf.unwrap_or(claims.iat));
    let opened = opened.map_err(|error| Failure::refused(error.to_string()))?;
    Ok(
        json!({ "token": token, "id": opened.id.to_string(), "kid": opened.kid.as_str(), "expires": claims.exp }),
    )
}

/// A time from now, or Unix seconds.
fn time(flag: &str, text: &str, now: u64) -> Result<u64, Failure> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let after =
        parse_duration(text).map_err(|error| invalid(&format!("{flag} {text:?}"), error))?;
    Ok(now.saturating_add(after.as_secs()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn claims(flags: &[&str]) -> Result<Claims, Failure> {
        let fixed = [
            "create",
            "--keys",
            "k",
            "--url",
            "https://h.test/a",
            "--unpinned",
        ];
        let create = Line::try_parse_from(fixed.iter().chain(flags))
            .unwrap()
            .create;
        let code = source::resolve(&create.url, None, create.unpinned)?;
        create.claims(&code, 1_000)
    }

    #[test]
    fn flags_become_claims() {
        let slot = "s=POST https://h.test/ a: {}";
        let made = claims(&[
            "--secret",
            "s=a=b",
            "--bind",
            slot,
            "--allow",
            "GET https://h.test/*",
            "--expires",
            "10m",
        ]);
        let made = made.unwrap();
        let secret = made.secrets.get("s").unwrap();
        assert_eq!((secret.value.expose(), secret.slots.len()), ("a=b", 1));
        assert_eq!((made.exp, made.nbf, made.out.len()), (1_600, None, 1));
        let made = claims(&[
            "--not-before",
            "2000",
            "--param",
            "a=",
            "--limit",
            "calls=0",
            "--via",
            "path",
        ])
        .unwrap();
        assert_eq!(
            (made.nbf, made.lim.calls, made.via.as_slice()),
            (Some(2_000), Some(0), [Carrier::Path].as_slice())
        );
        assert_eq!(made.params.get("a").map(String::as_str), Some(""));
    }
}
