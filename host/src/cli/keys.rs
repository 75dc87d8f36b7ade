//! `webtask keys`: keyring files. No other file of the command reads or writes one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use webtask_token::{KeyId, Keyring, Secret};

use super::token::{now, utc};
use super::{Failure, print};

/// The longest keyring file that is read, in bytes: some thousand keys.
const MAX_LEN: u64 = 1 << 20;

/// Make and list the keys that seal and open tokens
///
/// A keyring is one TOML file. Whoever can read it can read every token that was sealed with it, and
/// make new ones: it is created readable by you alone, and refused when others can read it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask keys generate --keys keys.toml
  webtask keys list --keys keys.toml")]
pub(crate) struct KeysCommand {
    #[command(subcommand)]
    command: Keys,
}

#[derive(Debug, Subcommand)]
enum Keys {
    Generate(Generate),
    List(List),
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

impl KeysCommand {
    /// Runs the command.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Keys::Generate(command) => command.run(),
            Keys::List(command) => command.run(),
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

/// Creates a keyring file that only its owner can read.
pub(crate) fn write_keyring(path: &Path, keyring: &Keyring) -> Result<(), Failure> {
    let shown = path.display();
    let options = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = options.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::refused(format!(
            "{shown} exists, and a keyring is never overwritten"
        ))
        .hint("choose another file, or move this one away if no token of its keys is in use"),
        _ => Failure::usage(format!("cannot create {shown}: {error}")),
    })?;
    file.write_all(keyring.to_toml().as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|error| {
            // Half a keyring would be refused later, and stand in the way of a whole one.
            drop(std::fs::remove_file(path));
            Failure::usage(format!("cannot write {shown}: {error}"))
        })
}

/// Reads a keyring file that nobody but its owner can read.
pub(crate) fn read_keyring(path: &Path) -> Result<Keyring, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        let failure = Failure::usage(format!("cannot read {shown}: {error}"));
        match error.kind() {
            ErrorKind::NotFound => failure.hint(format!(
                "make a keyring with: webtask keys generate --keys {shown}"
            )),
            _ => failure,
        }
    };
    let file = File::open(path).map_err(failed)?;
    // Of the file that is open, not of the name: the name may be another file by now.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::refused(format!(
            "{shown} is open to other users (mode {mode:04o}), and who reads it reads every token"
        ))
        .hint(format!("chmod 600 {shown}")));
    }
    let text = read_text(file, MAX_LEN).map_err(failed)?;
    Keyring::from_toml(text.expose())
        .map_err(|error| Failure::refused(format!("{shown} is not a keyring: {error}")))
}

/// Reads text into memory that is wiped afterwards and that is never moved while it grows.
pub(super) fn read_text(source: impl std::io::Read, most: u64) -> std::io::Result<Secret> {
    let too_large = || {
        std::io::Error::new(
            ErrorKind::InvalidData,
            format!("it is larger than {most} bytes"),
        )
    };
    let mut text = String::with_capacity(usize::try_from(most).map_err(|_| too_large())? + 1);
    let read = source.take(most + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    match read? {
        len if len as u64 > most => Err(too_large()),
        _ => Ok(text),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_is_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        let keyring = Keyring::generate(Some("k1".parse().unwrap())).created_at(1);
        write_keyring(&path, &keyring).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read_keyring(&path).unwrap().sealing_kid().as_str(), "k1");
        let before = std::fs::read(&path).unwrap();
        let again = write_keyring(&path, &Keyring::generate(None)).unwrap_err();
        assert!(format!("{again:?}").contains("never overwritten"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = format!("{:?}", read_keyring(&path).unwrap_err());
            assert!(
                refused.contains(&format!("{mode:04o}")) && refused.contains("chmod 600"),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_broken_keyring_shows_nothing_of_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.toml");
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(b"seal = \"a\"\n[[key]]\nroot = CANARY\n")
            .unwrap();
        let refused = format!("{:?}", read_keyring(&path).unwrap_err());
        assert!(
            refused.contains("line 3") && !refused.contains("CANARY"),
            "{refused}"
        );
        assert!(read_text(&[b'x'; 9][..], 8).is_err() && read_text(&[b'x'; 8][..], 8).is_ok());
    }
}
