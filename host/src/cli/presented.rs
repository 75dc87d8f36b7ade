//! The token that a command presents: from its flags, a file, the environment or stdin.

use std::path::PathBuf;

use clap::Args;

use super::{
    Failure,
    token::flags::{TokenText, token_file},
};

/// Where the token is.
#[derive(Args, Debug)]
pub(super) struct TokenFlags {
    /// A file with the token
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The token, or - to read it from stdin
    #[arg(
        long,
        value_name = "TOKEN",
        env = "WEBTASK_TOKEN",
        hide_env_values = true
    )]
    token: Option<TokenText>,
}

impl TokenFlags {
    /// Whether a flag, or the environment, names one.
    pub(super) fn is_there(&self) -> bool {
        self.token_file.is_some() || self.token.is_some()
    }

    /// Whether it comes from stdin.
    pub(super) fn is_stdin(&self) -> bool {
        self.token_file.is_none() && self.token.as_ref().is_some_and(TokenText::is_stdin)
    }

    pub(super) fn read(&self) -> Result<String, Failure> {
        match (&self.token_file, &self.token) {
            (Some(path), _) => token_file("--token-file", path),
            (None, Some(token)) => token.read(),
            (None, None) => Err(Failure::usage("there is no token")
                .hint("name one with --token-file FILE, or in the environment as WEBTASK_TOKEN")),
        }
    }
}
