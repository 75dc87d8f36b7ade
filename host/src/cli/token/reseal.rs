//! `webtask token reseal`: the same claims under the key that seals now.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::flags::TokenText;
use super::inspect::refused;
use super::now;
use crate::cli::keys::read_keyring;
use crate::cli::{Failure, print};

/// Seal a token's claims anew with the key that seals now
///
/// After `webtask keys rotate` this moves a token to the new key, so that the old one can be retired. The
/// claims stay as they are, and nothing of them is printed. The new token has an id of its own: revoking the
/// old one does not revoke it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask token reseal --keys keys.toml \"$TOKEN\"
  webtask token reseal --keys keys.toml - < token.txt > token.new")]
pub(super) struct Reseal {
    /// The token, or - to read it from stdin
    #[arg(value_name = "TOKEN")]
    token: TokenText,
    /// The keyring file, with the token's key and the one that seals
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: PathBuf,
    /// Print JSON: token, id, kid, expires
    #[arg(long)]
    json: bool,
}

impl Reseal {
    pub(super) fn run(self) -> Result<(), Failure> {
        let keyring = read_keyring(&self.keys)?;
        let opened = keyring.open(&self.token.read()?, now()).map_err(refused)?;
        if !opened.caveats.is_empty() {
            let len = opened.caveats.len();
            return Err(Failure::refused(format!(
                "the token carries {len} {}, and resealing would take what they narrow away",
                if len == 1 { "caveat" } else { "caveats" }
            ))
            .hint("reseal the token that it was made from, and attenuate that one again"));
        }
        let token = keyring
            .seal(&opened.claims)
            .map_err(|error| Failure::refused(error.to_string()))?;
        let (old, new) = (&opened.kid, keyring.sealing_kid());
        if old == new {
            eprintln!("note: {old} sealed the token before, and seals it again");
        } else {
            eprintln!("moved from {old} to {new}; the old token lives until {old} is retired");
        }
        let id = keyring.open(&token, now()).map_err(refused)?.id.to_string();
        print(if self.json {
            let said = json!({ "token": token, "id": id, "kid": new.as_str(), "expires": opened.claims.exp });
            format!("{said}\n")
        } else {
            format!("{token}\n")
        })
    }
}
