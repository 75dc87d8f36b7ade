//! Keyring files. No other file of the command reads or writes one.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use webtask_token::{Keyring, KeyringError, Secret};

use crate::cli::Failure;

/// The longest keyring file that is read, in bytes: some thousand keys.
const MAX_LEN: u64 = 1 << 20;

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
    if !path.exists() {
        let missing = std::io::Error::from(ErrorKind::NotFound);
        return Err(
            Failure::usage(format!("cannot read {shown}: {missing}")).hint(format!(
                "make a keyring with: webtask keys generate --keys {shown}"
            )),
        );
    }
    let text = read_private(path, "who reads it reads every token")?;
    Keyring::from_toml(text.expose())
        .map_err(|error| Failure::refused(format!("{shown} is not a keyring: {error}")))
}

/// Reads a file that nobody but its owner can read; `because` says why no other may.
pub(crate) fn read_private(path: &Path, because: &str) -> Result<Secret, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failure::usage(format!("cannot read {shown}: {error}"));
    let file = File::open(path).map_err(failed)?;
    // Of the file that is open, not of the name: the name may be another file by now.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::refused(format!(
            "{shown} is open to other users (mode {mode:04o}), and {because}"
        ))
        .hint(format!("chmod 600 {shown}")));
    }
    read_text(file, MAX_LEN).map_err(failed)
}

/// Reads a keyring, changes it and puts it in the old one's place, in one step and as readable by its owner only.
///
/// The directory is locked meanwhile: of two changes at one time the second sees the first. What a crash
/// leaves behind is the old file, or the new one, and maybe a temporary file beside it.
pub(super) fn change_keyring<T>(
    path: &Path,
    change: impl FnOnce(&mut Keyring) -> Result<T, KeyringError>,
) -> Result<T, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| Failure::usage(format!("cannot write {shown}: {error}"));
    // A link stays a link: what it points to is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let lock = File::open(directory).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut keyring = read_keyring(&target)?;
    let changed = change(&mut keyring)
        .map_err(|error| Failure::refused(format!("{shown} is unchanged: {error}")))?;
    // Created with mode 0600, and removed when it is dropped before it is in place.
    let mut new = tempfile::Builder::new()
        .prefix(".webtask-keys-")
        .tempfile_in(directory)
        .map_err(failed)?;
    new.write_all(keyring.to_toml().as_bytes())
        .and_then(|()| new.as_file().sync_all())
        .map_err(failed)?;
    new.persist(&target).map_err(|error| failed(error.error))?;
    lock.sync_all().map_err(failed)?;
    Ok(changed)
}

/// Reads text into memory that is wiped afterwards and that is never moved while it grows.
pub(crate) fn read_text(source: impl std::io::Read, most: u64) -> std::io::Result<Secret> {
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
    #[test]
    fn a_keyring_is_changed_in_one_step() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (
            directory.path().join("keys.toml"),
            directory.path().join("link"),
        );
        write_keyring(&path, &Keyring::generate(Some("a".parse().unwrap()))).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let kid = change_keyring(&link, |keyring| keyring.rotate(None, 5).cloned()).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(*read_keyring(&path).unwrap().sealing_kid(), kid);
        let before = std::fs::read(&path).unwrap();
        assert!(change_keyring(&path, |keyring| keyring.retire(&kid)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
        // Two at one time: none is lost.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    change_keyring(&path, |keyring| keyring.rotate(None, 6).cloned()).unwrap()
                });
            }
        });
        assert_eq!(read_keyring(&path).unwrap().kids().count(), 10);
    }
}
