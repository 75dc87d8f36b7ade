//! `webtask keys`: the life of keys, from `generate` to `retire`.

mod file;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use webtask_token::{KeyId, Keyring};

use self::file::change_keyring;
pub(crate) use self::file::{read_keyring, read_private, read_text, write_keyring};
use super::token::{now, utc};
use super::{Failure, print};

/// Make, list, rotate and retire the keys that seal and open tokens
///
/// A keyring is one TOML file. Whoever can read it can read every token that was sealed with it, and
/// make new ones: it is created readable by you alone, and refused when others can read it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask keys generate --keys keys.toml
  webtask keys list --keys keys.toml

  A new key every quarter, and the old one gone when its last token has expired:
    webtask keys rotate --keys keys.toml --kid 2026-q4
    webtask keys retire --keys keys.toml 2026-q3")]
pub(crate) struct KeysCommand {
    #[command(subcommand)]
    command: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    Generate(Generate),
    Rotate(Rotate),
    List(List),
    Retire(Retire),
}

/// Make a keyring with one new key and print the key's id
///
/// The file must not exist: a keyring that is overwritten takes every token sealed with it along.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask keys generate --keys keys.toml
  webtask keys generate --keys keys.toml --kid prod-2026")]
struct Generate {
    /// The keyring file to create, with mode 0600
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: PathBuf,
    /// The key's public id, 1 to 32 of [A-Za-z0-9_-]; it stands in every token [default: random]
    #[arg(long)]
    kid: Option<KeyId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List the keys of a keyring, never what they are made of
#[derive(Args, Debug)]
struct List {
    /// The keyring file
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Add a new key that seals from now on, and print its id
///
/// Tokens of the other keys open as before. The file is replaced in one step: a runtime that reads it
/// meanwhile sees the old keyring or the new one. Give the new file to every runtime before you seal with it.
#[derive(Args, Debug)]
struct Rotate {
    /// The keyring file
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: PathBuf,
    /// The new key's public id, 1 to 32 of [A-Za-z0-9_-] [default: random]
    #[arg(long)]
    kid: Option<KeyId>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Remove a key: every token that it sealed fails from then on
///
/// The key that seals cannot be retired; rotate first. There is no way back but a copy of the file.
/// `webtask token reseal` moves a token to the new key.
#[derive(Args, Debug)]
struct Retire {
    /// The id of the key to remove, as `webtask keys list` prints it
    kid: KeyId,
    /// The keyring file
    #[arg(long, value_name = "FILE", env = "WEBTASK_KEYS")]
    keys: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl KeysCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Keys::Generate(command) => command.run(),
            Keys::Rotate(command) => command.run(),
            Keys::List(command) => command.run(),
            Keys::Retire(command) => command.run(),
        }
    }
}

impl Generate {
    fn run(self) -> Result<(), Failure> {
        let keyring = Keyring::generate(self.kid).created_at(now());
        write_keyring(&self.keys, &keyring)?;
        let (kid, path) = (keyring.sealing_kid(), self.keys.display());
        eprintln!(
            "wrote {path}, readable by you alone; keep a copy, lost keys cannot be made again"
        );
        print(if self.json {
            format!("{}\n", json!({ "kid": kid.as_str(), "keys": self.keys }))
        } else {
            format!("{kid}\n")
        })
    }
}

impl Rotate {
    fn run(self) -> Result<(), Failure> {
        let kid = change_keyring(&self.keys, |keyring| {
            keyring.rotate(self.kid.clone(), now()).cloned()
        })
        .map_err(|failure| failure.hint("`webtask keys list` shows the keys that there are"))?;
        eprintln!(
            "wrote {}; runtimes without this file refuse what {kid} seals",
            self.keys.display()
        );
        print(if self.json {
            format!("{}\n", json!({ "kid": kid.as_str(), "keys": self.keys }))
        } else {
            format!("{kid}\n")
        })
    }
}

impl Retire {
    fn run(self) -> Result<(), Failure> {
        change_keyring(&self.keys, |keyring| keyring.retire(&self.kid)).map_err(|failure| {
            failure.hint("`webtask keys list` shows which key seals; `webtask keys rotate` makes another one")
        })?;
        eprintln!(
            "wrote {}; tokens of {} fail on every runtime that reads it",
            self.keys.display(),
            self.kid
        );
        print(if self.json {
            format!(
                "{}\n",
                json!({ "kid": self.kid.as_str(), "keys": self.keys })
            )
        } else {
            String::new()
        })
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let keyring = read_keyring(&self.keys)?;
        let rows: Vec<_> = keyring
            .kids()
            .map(|kid| (kid, keyring.created(kid), kid == keyring.sealing_kid()))
            .collect();
        print(if self.json {
            let row = |(kid, created, seals): &(&KeyId, Option<u64>, bool)| json!({ "kid": kid.as_str(), "created": created, "seals": seals });
            format!("{}\n", json!(rows.iter().map(row).collect::<Vec<_>>()))
        } else {
            let row = |(kid, created, seals): (&KeyId, Option<u64>, bool)| {
                let created = created.map_or("-".to_owned(), utc);
                format!(
                    "{:32}  {created:20}  {}\n",
                    kid.as_str(),
                    if seals { "yes" } else { "no" }
                )
            };
            let head = format!("{:32}  {:20}  {}\n", "KID", "CREATED", "SEALS");
            head + &rows.into_iter().map(row).collect::<String>()
        })
    }
}
