//! `webtask token`: make tokens, narrow them, look into them and end them.

mod attenuate;
mod call;
mod create;
pub(super) mod flags;
mod inspect;
mod issue;
mod mint;
mod needs;
mod reseal;
mod revoke;
mod secrets;
pub(super) mod source;
mod words;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};

use super::Failure;
pub(super) use webtask_host::utc;

/// Make tokens, narrow them, look into them and end them
#[derive(Args, Debug)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    command: Token,
}

#[derive(Debug, Subcommand)]
enum Token {
    Create(Box<create::Create>),
    Attenuate(attenuate::Attenuate),
    Inspect(inspect::Inspect),
    Reseal(reseal::Reseal),
    Revoke(revoke::Revoke),
}

impl TokenCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Token::Create(command) => command.run(),
            Token::Attenuate(command) => command.run(),
            Token::Inspect(command) => command.run(),
            Token::Reseal(command) => command.run(),
            Token::Revoke(command) => command.run(),
        }
    }
}

/// The time, in Unix seconds. A clock before 1970 is 0: nothing is expired, and every `exp` is far away.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
