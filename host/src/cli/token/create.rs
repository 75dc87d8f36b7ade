//! `webtask token create`: flags to claims to a token.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use webtask_host::scan::SHORTEST;
use webtask_token::{Carrier, Claims, DEFAULT_TENANT, Keyring, Minted};

use super::flags::{self, time};
use super::issue::IssueFlags;
use super::needs;
use super::secrets::{Raw, SecretFlags};
use super::source::{self, Source};
use super::{hex, mint, now};
use crate::cli::declared::Declared;
use crate::cli::keys::read_keyring;
use crate::cli::{Failure, env_file, print};

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
      --via path --expires 1h --limit memory=64MiB --limit wall=5s

  What the project's webtask.toml says, with the values of its secrets from .env:
    webtask token create --keys keys.toml --from webtask.toml --env-file .env \\
      --url target/wasm32-wasip2/release/greeter.wasm

  An issuer token for a service or CI, and a token that it mints without the keyring:
    webtask token create --keys keys.toml --issue --tenant acme --expires 90d \\
      --mint-url 'https://code.example.com/acme/*' --mint-life 1d --mint-param user > issuer.txt
    webtask token create --host https://run.example.com --issuer issuer.txt \\
      --url https://code.example.com/acme/hook.wasm --sha256 HEX --param user=42")]
pub(super) struct Create {
    /// The keyring file; its sealing key seals the token (see `webtask keys generate`)
    #[arg(
        long,
        value_name = "FILE",
        env = "WEBTASK_KEYS",
        required_unless_present = "host"
    )]
    keys: Option<PathBuf>,
    /// Let this runtime seal, below the ceiling of an issuer token, instead of a keyring
    #[arg(
        long,
        value_name = "URL",
        requires = "issuer",
        conflicts_with = "issue"
    )]
    host: Option<String>,
    /// The file of the issuer token for --host
    #[arg(long, value_name = "FILE", requires = "host")]
    issuer: Option<PathBuf>,
    /// Where the component is: a path, or a file:, https:, http: or oci: URL
    #[arg(long, required_unless_present = "issue", conflicts_with = "issue")]
    url: Option<String>,
    /// The component's SHA-256, 64 hexadecimal digits; for a local file it is computed
    #[arg(long, value_name = "HEX", conflicts_with = "unpinned")]
    sha256: Option<String>,
    /// Run whatever the URL serves, today and tomorrow: whoever controls it gets the secrets
    #[arg(long)]
    unpinned: bool,
    /// The tenant that the token is counted and logged under [default: default; with --host the issuer's]
    #[arg(long, conflicts_with = "host")]
    tenant: Option<String>,
    /// When the token ends: a time from now such as 10m, 12h, 30d, or Unix seconds [default: 30d; with
    /// --host at most as long as the ceiling allows]
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// When the token begins: a time from now, or Unix seconds [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "host")]
    not_before: Option<String>,
    /// What the project's webtask.toml says that the code gets; flags add to it, and win over it
    #[arg(long, value_name = "FILE", conflicts_with = "issue")]
    from: Option<PathBuf>,
    /// A file of NAME=VALUE lines for the secrets that --from names, such as .env; git must not see it
    #[arg(long, value_name = "FILE", requires = "from")]
    env_file: Option<PathBuf>,
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
    /// Make no token for code that needs more than it is granted, or that cannot be read to find out
    #[arg(long, conflicts_with = "issue")]
    strict: bool,
    #[command(flatten)]
    issue: IssueFlags,
    /// Print JSON: token, id, kid, expires
    #[arg(long)]
    json: bool,
}

impl Create {
    pub(super) fn run(self) -> Result<(), Failure> {
        let now = now();
        let (code, claims) = match &self.url {
            Some(url) => {
                let code = source::resolve(url, self.sha256.as_deref(), self.unpinned)?;
                let claims = self.claims(Claims::new(code.url.clone(), now), &code, now)?;
                (code, claims)
            }
            None => {
                let claims = Claims::issuer(self.issue.ceiling()?, now);
                let code = Source::none();
                (code, self.claims(claims, &Source::none(), now)?)
            }
        };
        if self.url.is_some() {
            needs::check(&code, &claims, self.strict)?;
        }
        let minted = match (&self.host, &self.issuer, &self.keys) {
            (Some(host), Some(issuer), _) => mint::mint(
                host,
                issuer,
                &claims,
                self.expires.as_ref().map(|_| claims.exp),
            )?,
            (_, _, Some(keys)) => seal(&read_keyring(keys)?, &claims)?,
            _ => return Err(Failure::usage("give --keys, or --host and --issuer")),
        };
        self.advise(&code, &claims);
        print(if self.json {
            let kid = webtask_token::inspect(&minted.token)
                .map_err(|error| Failure::refused(error.to_string()))?
                .kid;
            let said = json!({ "token": minted.token, "id": minted.id, "kid": kid.as_str(), "expires": minted.expires });
            format!("{said}\n")
        } else {
            format!("{}\n", minted.token)
        })
    }

    fn claims(&self, mut claims: Claims, code: &Source, now: u64) -> Result<Claims, Failure> {
        claims.sha256 = code.sha256;
        let tenant = self.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
        claims.tenant = tenant.to_owned();
        if let Some(expires) = &self.expires {
            claims.exp = time("--expires", expires, now)?;
        }
        let nbf = self.not_before.as_ref();
        claims.nbf = nbf
            .map(|text| time("--not-before", text, now))
            .transpose()?;
        let from = self.from.as_deref().map(Declared::read).transpose()?;
        claims.secrets = self.secrets.read()?;
        if let (Some(from), Some(file)) = (&from, &self.env_file) {
            let (named, _) = env_file::named(env_file::read(file)?, &from.secrets);
            for (name, secret) in named {
                claims.secrets.entry(name).or_insert(secret);
            }
        }
        self.secrets.bind(&mut claims.secrets)?;
        claims.params = flags::params(&self.params)?;
        claims.out = flags::grants("--allow", &self.allows)?;
        claims.lim = flags::limits("--limit", &self.limits)?;
        claims.via.extend(self.via.as_ref().map(|_| Carrier::Path));
        if let Some(from) = from {
            from.fill(
                &mut claims,
                "give it with --env-file, --secret-env NAME=VAR or --secret-file NAME=FILE",
            )?;
        }
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
        if claims.sha256.is_none() && self.url.is_some() {
            eprintln!(
                "note: the token is unpinned; whoever controls the URL gets its secrets and rights"
            );
        }
        for (name, secret) in &claims.secrets {
            if !secret.slots.is_empty() && secret.value.expose().len() < SHORTEST {
                eprintln!(
                    "warning: {name} is so short that responses are not searched for it, and an origin that sends it back tells the code; {SHORTEST} bytes are the least that is searched"
                );
            }
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

/// Seals here, with the keyring.
fn seal(keyring: &Keyring, claims: &Claims) -> Result<Minted, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::refused(error.to_string());
    let token = keyring.seal(claims).map_err(|error| refused(&error))?;
    let begins = claims.nbf.unwrap_or(claims.iat);
    let opened = keyring
        .open(&token, begins)
        .map_err(|error| refused(&error))?;
    Ok(Minted {
        token,
        id: opened.id.to_string(),
        expires: claims.exp,
    })
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
        let url = create.url.as_deref().unwrap();
        let code = source::resolve(url, None, create.unpinned)?;
        create.claims(Claims::new(code.url.clone(), 1_000), &code, 1_000)
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
