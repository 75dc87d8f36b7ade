//! `webtask demo`: everything in one process, with what to try.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use webtask_host::{Config, ListenAddress};
use webtask_token::{Claims, Grant, Keyring, Secret, SecretClaim};

use super::{
    Failure, payments, print, run,
    sockets::{self, Sockets},
    token::hex,
};

/// Run everything in one process and print what to try
///
/// Starts the runtime on loopback with a fresh keyring in a temporary directory, and beside it a small
/// origin that stands for a payment API. Mints a token for each example and prints it with what it may
/// do and a line to paste. Ctrl-C stops it; nothing is kept.
#[derive(Args, Debug)]
pub(crate) struct DemoCommand {
    /// The directory of the compiled examples (`make demo` builds them)
    #[arg(long, value_name = "DIR", default_value = "target/wasm32-wasip2/guest")]
    examples: PathBuf,
    /// Where to listen; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: String,
}

/// A token to try, and how.
struct Trial {
    title: &'static str,
    may: String,
    made: String,
    token: String,
    curl: String,
    expect: &'static str,
}

/// Where everything is.
struct Place {
    keyring: Keyring,
    keys: PathBuf,
    examples: PathBuf,
    runtime: String,
    payments: String,
    /// As this process was called, so that what is printed can be pasted.
    command: String,
}

impl DemoCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        super::block_on(async {
            let examples = self.examples.canonicalize().map_err(|error| {
                Failure::usage(format!(
                    "no examples in {}: {error}",
                    self.examples.display()
                ))
                .hint("run `make demo` in the repository, or name the directory with --examples")
            })?;
            let listener = sockets::bind(&self.listen, "--listen").await?;
            let local = listener.address().clone();
            if !matches!(local, ListenAddress::Tcp(_)) || !local.is_local() {
                return Err(Failure::usage(format!("the demo opens loopback to webtasks and so listens on loopback only, not on {local}"))
                    .hint("use `webtask serve` for anything else"));
            }
            let payments = TcpListener::bind("127.0.0.1:0")
                .await
                .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
            let origin = payments
                .local_addr()
                .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
            let directory = tempfile::Builder::new()
                .prefix("webtask-demo-")
                .tempdir()
                .map_err(|error| Failure::usage(format!("no temporary directory: {error}")))?;
            let place = Place {
                keyring: Keyring::generate(None),
                keys: directory.path().join("keys.toml"),
                examples,
                runtime: format!("http://{local}"),
                payments: format!("http://{origin}"),
                command: std::env::args().next().unwrap_or_else(|| "webtask".into()),
            };
            super::keys::write_keyring(&place.keys, &place.keyring)?;
            let key = random_hex(12)?;
            let trials = [
                place.hello()?,
                place.charge(&format!("sk_demo_{key}"))?,
                place.webhook(&random_hex(16)?)?,
            ];
            let text = page(&place, &trials);
            tokio::spawn(payments::serve(payments, format!("sk_demo_{key}")));
            let code = place.examples.display().to_string().parse();
            let code = code.map_err(|error| Failure::usage(format!("{error}")))?;
            let config = Config {
                compiler: super::compile_worker::this_program(),
                private: vec![origin.ip().into()],
                ..Config::new(place.keyring, vec![code])
            };
            run::run(Sockets::of(listener), config, None, |_| print(text)).await
        })
    }
}

impl Place {
    fn hello(&self) -> Result<Trial, Failure> {
        let token = self.mint("hello", |_| Ok(()))?;
        Ok(Trial {
            title: "hello",
            may: "answer; no secret, no outbound call, no file".into(),
            made: self.made("hello", ""),
            curl: format!(
                "curl -H 'webtask-token: {token}' '{}/run/world?from=demo'",
                self.runtime
            ),
            token,
            expect: "a greeting; the log below shows what the run cost",
        })
    }

    fn charge(&self, key: &str) -> Result<Trial, Failure> {
        let charges = format!("{}/v1/charges", self.payments);
        let slot = format!("POST {charges} authorization: Bearer {{}}");
        let token = self.mint("charge", |claims| {
            claims.secrets.insert(
                "api-key".into(),
                SecretClaim {
                    value: Secret::new(key.into()),
                    slots: vec![
                        slot.parse()
                            .map_err(|error| Failure::refused(format!("{slot}: {error}")))?,
                    ],
                },
            );
            claims.params.insert("api".into(), self.payments.clone());
            claims.out.push(grant(&format!("POST {charges}"))?);
            Ok(())
        })?;
        let flags = format!(
            " \\\n      --secret api-key={key} --bind 'api-key={slot}' \\\n      --param api={} --allow 'POST {charges}'",
            self.payments
        );
        Ok(Trial {
            title: "charge",
            may: format!(
                "POST to {charges}, with api-key, which the runtime sends and the code cannot read"
            ),
            made: self.made("charge", &flags),
            curl: format!(
                "curl -H 'webtask-token: {token}' '{}/run' -d '{{\"amount\":1999,\"currency\":\"eur\",\"card\":\"tok_visa\"}}'",
                self.runtime
            ),
            token,
            expect: "a charge; neither the caller nor the code ever had the key",
        })
    }

    fn webhook(&self, secret: &str) -> Result<Trial, Failure> {
        let token = self.mint("webhook", |claims| {
            claims.secrets.insert(
                "webhook-secret".into(),
                SecretClaim {
                    value: Secret::new(secret.into()),
                    slots: Vec::new(),
                },
            );
            claims.via.push(webtask_token::Carrier::Path);
            Ok(())
        })?;
        let body = r#"{"action":"opened","number":7}"#;
        let signature = sign(secret, body)?;
        Ok(Trial {
            title: "webhook",
            may: "read its secret webhook-secret; the token may stand in a URL".into(),
            made: self.made(
                "webhook",
                &format!(" \\\n      --secret webhook-secret={secret} --via path"),
            ),
            curl: format!(
                "curl '{}/t/{token}' -H 'x-github-event: pull_request' -H 'x-hub-signature-256: sha256={signature}' -d '{body}'",
                self.runtime
            ),
            token,
            expect: "accepted; change one letter of the body and it is not",
        })
    }

    fn mint(
        &self,
        example: &str,
        grant: impl FnOnce(&mut Claims) -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        let path = self.wasm(example);
        let code = std::fs::read(&path).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", path.display()))
                .hint("run `make demo` in the repository: it builds the examples")
        })?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut claims = Claims::new(format!("file://{}", path.display()), now);
        claims.sha256 = Some(Sha256::digest(&code).into());
        claims.exp = now + 24 * 3600;
        grant(&mut claims)?;
        self.keyring.seal(&claims).map_err(|error| {
            Failure::refused(format!("cannot mint the token of {example}: {error}"))
        })
    }

    fn made(&self, example: &str, flags: &str) -> String {
        format!(
            "{} token create --keys {} --expires 1d --url {}{flags}",
            self.command,
            self.keys.display(),
            self.wasm(example).display()
        )
    }

    fn wasm(&self, example: &str) -> PathBuf {
        Path::new(&self.examples).join(format!("{example}.wasm"))
    }
}

fn page(place: &Place, trials: &[Trial]) -> String {
    let mut text = format!(
        "\nwebtask demo: one process, loopback only, nothing is kept. Ctrl-C stops it.\n\n  runtime   {}\n  payments  {}  (stands for a payment API)\n  keyring   {}\n",
        place.runtime,
        place.payments,
        place.keys.display()
    );
    for (number, trial) in trials.iter().enumerate() {
        let Trial {
            title,
            may,
            made,
            token,
            curl,
            expect,
        } = trial;
        text.push_str(&format!("\n{}. {title}\n   may:    {may}\n   token:  {token}\n   ({} characters, made as by)\n    {made}\n   try:\n    {curl}\n   expect: {expect}\n", number + 1, token.len()));
    }
    if let Some(first) = trials.first() {
        let mut broken = first.token.clone();
        let last = broken
            .pop()
            .map_or('A', |last| if last == 'A' { 'Q' } else { 'A' });
        broken.push(last);
        text.push_str(&format!("\n4. one character changed\n   try:\n    curl -i -H 'webtask-token: {broken}' '{}/run'\n   expect: 401, the same answer as for any token that is not ours\n\nWhat happens is logged below.\n\n", place.runtime));
    }
    text
}

fn grant(text: &str) -> Result<Grant, Failure> {
    text.parse()
        .map_err(|error| Failure::refused(format!("{text}: {error}")))
}

fn sign(secret: &str, body: &str) -> Result<String, Failure> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|error| Failure::refused(format!("{error}")))?;
    mac.update(body.as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

fn random_hex(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::usage(format!("no random bytes: {error}")))?;
    Ok(hex(&random))
}
