//! `webtask token revoke`: ends a token, and all that was made from it.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::Value;
use webtask_token::{LinkId, RevokeRequest};

use super::flags::{self, TokenText};
use super::{call, now};
use crate::cli::{Failure, print};

/// Revoke a token, and every token that was made from it
///
/// Whoever holds a token can revoke it. With --token another one is presented: the token that it was made
/// from, or the issuer token that minted it. With an issuer token everything that its tenant was issued before
/// a time can be revoked at once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask token revoke \"$TOKEN\" --host https://run.example.com
  webtask token revoke --id 0123456789abcdef0123456789abcdef --token issuer.txt --host https://run.example.com
  webtask token revoke --issued-before 0s --token issuer.txt --host https://run.example.com")]
#[command(group = ArgGroup::new("what").required(true).args(["target", "id", "issued_before"]))]
pub(super) struct Revoke {
    /// The token to revoke, or - to read it from stdin
    #[arg(value_name = "TOKEN", id = "target")]
    target: Option<TokenText>,
    /// Revoke the link of this id, as `webtask token inspect` and the runtime's log print it
    #[arg(long, requires = "token")]
    id: Option<LinkId>,
    /// Revoke everything that the issuer's tenant was issued before: 0s is now, with this second, or Unix seconds
    #[arg(long, value_name = "TIME", requires = "token")]
    issued_before: Option<String>,
    /// A file with the token to present, instead of the one that is revoked
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// The runtime to call
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "WEBTASK_HOST"
    )]
    host: String,
    /// Print the runtime's answer as JSON
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let target = self.target.as_ref().map(TokenText::read).transpose()?;
        let other = self
            .token
            .as_ref()
            .map(|path| flags::token_file("--token", path));
        let (presented, token) = match (other.transpose()?, target) {
            (Some(presented), target) => (presented, target),
            (None, Some(target)) => (target, None),
            (None, None) => return Err(Failure::usage("there is no token to present")),
        };
        let before = self.issued_before.as_ref();
        let request = RevokeRequest {
            token,
            id: self.id.map(|id| id.to_string()),
            before: before
                // What was issued in this very second is from before, too.
                .map(|text| flags::time("--issued-before", text, now() + 1))
                .transpose()?,
        };
        let answer = call::post(&self.host, "/v1/revoke", &presented, &request)?;
        print(match answer.get("revoked").and_then(Value::as_str) {
            Some(id) if !self.json => format!("{id}\n"),
            _ => format!("{answer}\n"),
        })
    }
}
