//! Native code on disk: a directory of artefacts that this host made, and can tell from all others.
//!
//! A file is named by the component's digest and the fingerprint of the engines. It holds the artefact, what
//! the component shows of itself, and a MAC over both and both names, under a key that stands in the
//! directory. All is for its owner alone: whoever can write there can do as this host anyway, so the MAC is
//! for what comes there by other ways, such as copies, backups and a bad disk. Whatever is wrong with a file
//! costs a compilation, and whatever is wrong with the directory costs the keeping.
//!
//! Files are written under another name, read-only, and put in place whole, so that a file that is there
//! never changes: what was checked is what is mapped. Several processes may share the directory.

use std::{
    fs::{DirBuilder, File, FileTimes},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt as _, OpenOptions, OpenOptionsExt as _},
};

use rustix::fs::StatVfsMountFlags;

use super::{Analysis, Code, Compiled, engine::Fingerprint, wire::MAX_TEXT};
use crate::text::hex;

/// The file of the key.
const KEY: &str = "key";

/// How names of files end.
const SUFFIX: &str = ".code";

/// How names of files that are being written begin.
const UNFINISHED: &str = "unfinished-";

/// After so long nobody writes a file any more: who did was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Lengths of artefact and analysis, and the MAC.
const FOOTER: u64 = 8 + 8 + 32;

/// What is read at once to be checked: it stays in the processor's cache.
const PIECE: usize = 64 << 10;

/// Why a directory cannot keep native code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory, or its key, cannot be used.
    #[error("the cache directory {path} cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not for its owner alone: who can write there can run code as this user.
    #[error("the cache directory {path} is not of this user alone (mode {mode:03o}, user {owner})")]
    NotPrivate {
        /// What is not private: the directory, or the key in it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The user id of its owner.
        owner: u32,
    },
}

/// A directory of native code.
pub(crate) struct Store {
    dir: Dir,
    path: PathBuf,
    key: [u8; 32],
    fingerprint: Fingerprint,
    /// Bytes of all files.
    limit: u64,
    /// Bytes of one.
    most: u64,
}

/// The artefact in a file that this host wrote: its MAC was checked, or it was written a moment ago.
pub(super) struct Checked {
    file: File,
    len: usize,
}

impl Checked {
    /// The path by which this very file is opened once more, whatever its name is by now.
    pub(super) fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd as _;
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Store {
    /// The directory at `path`, which is made if it is missing, as is its key.
    ///
    /// Keeps files of `compiled` bytes at most, `limit` all together.
    pub(super) fn open(
        path: &Path,
        fingerprint: Fingerprint,
        compiled: u64,
        limit: u64,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Directory {
            path: path.to_owned(),
            source,
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(failed)?;
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(failed)?;
        private(path, &dir.dir_metadata().map_err(failed)?)?;
        let mounted = rustix::fs::fstatvfs(&dir).map_err(|error| failed(error.into()))?;
        if mounted.f_flag.contains(StatVfsMountFlags::NOEXEC) {
            return Err(failed(io::Error::other(
                "it is mounted noexec, and native code has to be executable; choose another place",
            )));
        }
        let file = match dir.open(KEY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_key(&dir).and_then(|()| dir.open(KEY))
            }
            opened => opened,
        };
        let file = file.map_err(failed)?;
        private(&path.join(KEY), &file.metadata().map_err(failed)?)?;
        let mut key = [0; 32];
        file.into_std().read_exact_at(&mut key, 0).map_err(|_| {
            failed(io::Error::other(
                "its key is cut; remove the file key in it, and all is compiled anew",
            ))
        })?;
        Ok(Self {
            dir,
            path: path.to_owned(),
            key,
            fingerprint,
            limit,
            most: compiled.saturating_add(MAX_TEXT),
        })
    }

    /// Whether something is kept of the component with this digest; [`get`](Self::get) says whether it is good.
    pub(crate) fn has(&self, digest: &[u8; 32]) -> bool {
        self.dir.exists(self.name(digest))
    }

    /// What is kept of the component with this digest. A file that this host did not write, or that changed,
    /// is removed.
    pub(crate) fn get(&self, digest: &[u8; 32]) -> Option<Compiled> {
        let name = self.name(digest);
        let file = match self.dir.open(&name) {
            Ok(file) => file.into_std(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, name, cache = %self.path.display(), "compiled code cannot be read; compiling anew");
                return None;
            }
        };
        match self.check(file, digest) {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                tracing::warn!(%error, name, cache = %self.path.display(), "compiled code is not as this host wrote it; removing it and compiling anew");
                let _ = self.dir.remove_file(&name);
                None
            }
        }
    }

    fn check(&self, file: File, digest: &[u8; 32]) -> io::Result<Compiled> {
        let length = file.metadata()?.len();
        let body = length.checked_sub(FOOTER).filter(|_| length <= self.most);
        let body = body.ok_or_else(|| io::Error::other(format!("it has {length} bytes")))?;
        let mut mac = self.mac(digest);
        let mut piece = vec![0; PIECE];
        let (mut at, end) = (0_u64, body.saturating_add(16));
        while at < end {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(PIECE);
            let piece = piece.get_mut(..left.min(PIECE)).unwrap_or_default();
            file.read_exact_at(piece, at)?;
            mac.update(piece);
            at = at.saturating_add(piece.len() as u64);
        }
        let mut footer = [0; FOOTER as usize];
        file.read_exact_at(&mut footer, body)?;
        let (lengths, written) = footer.split_at(16);
        // In constant time.
        if blake3::Hash::from_slice(written).ok() != Some(mac.finalize()) {
            return Err(io::Error::other("its MAC is wrong"));
        }
        let (artefact, analysis) = lengths.split_at(8);
        let (artefact, analysis) = (number(artefact), number(analysis));
        if artefact.checked_add(analysis) != Some(body) {
            return Err(io::Error::other("its lengths are wrong"));
        }
        let mut text = vec![0; usize::try_from(analysis).map_err(io::Error::other)?];
        file.read_exact_at(&mut text, artefact)?;
        let analysis = serde_json::from_slice(&text)?;
        // When it was last of use: what is longest of none goes first.
        file.set_times(FileTimes::new().set_modified(SystemTime::now()))?;
        let len = usize::try_from(artefact).map_err(io::Error::other)?;
        Ok(Compiled {
            analysis,
            code: Code::checked(Checked { file, len }),
        })
    }

    /// Keeps `compiled`, and gives it back: from the file, whose pages the system can take away and bring back,
    /// if that could be written.
    pub(crate) fn put(&self, digest: &[u8; 32], compiled: Compiled) -> Compiled {
        let Some(artefact) = compiled.code.bytes() else {
            return compiled;
        };
        match self.write(digest, artefact, &compiled.analysis) {
            Ok(file) => {
                let len = artefact.len();
                Compiled {
                    analysis: compiled.analysis,
                    code: Code::checked(Checked { file, len }),
                }
            }
            Err(error) => {
                tracing::warn!(%error, cache = %self.path.display(), "compiled code cannot be kept on disk");
                compiled
            }
        }
    }

    fn write(&self, digest: &[u8; 32], artefact: &[u8], analysis: &Analysis) -> io::Result<File> {
        let analysis = serde_json::to_vec(analysis)?;
        let lengths = [
            (artefact.len() as u64).to_le_bytes(),
            (analysis.len() as u64).to_le_bytes(),
        ]
        .concat();
        let mut mac = self.mac(digest);
        let parts = [artefact, analysis.as_slice(), lengths.as_slice()];
        for part in parts {
            mac.update(part);
        }
        let name = unfinished()?;
        let written = self.write_as(&name, &parts, mac.finalize().as_bytes(), digest);
        if written.is_err() {
            let _ = self.dir.remove_file(&name);
        }
        written
    }

    fn write_as(
        &self,
        name: &str,
        parts: &[&[u8]],
        mac: &[u8],
        digest: &[u8; 32],
    ) -> io::Result<File> {
        write_new(&self.dir, name, 0o400, parts, mac)?;
        // Before it has its name, so that it is the very file; and without a way to write to it.
        let file = self.dir.open(name)?;
        self.dir.rename(name, &self.dir, self.name(digest))?;
        Ok(file.into_std())
    }

    /// Removes what was longest of no use, until a tenth of the limit is free again, and what was left
    /// unfinished.
    pub(crate) fn tidy(&self) {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(%error, cache = %self.path.display(), "the cache directory cannot be listed");
                return;
            }
        };
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        // Not for each file anew once the directory is full.
        let enough = match total > self.limit {
            true => self.limit.saturating_sub(self.limit / 10),
            false => u64::MAX,
        };
        for file in &files {
            if file.abandoned || total > enough {
                // Another process may have been faster.
                let _ = self.dir.remove_file(&file.name);
                total = total.saturating_sub(file.bytes);
            }
        }
    }

    /// All files but the key, the one that was longest of no use first.
    fn files(&self) -> io::Result<Vec<Kept>> {
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in self.dir.entries()? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let unfinished = name.starts_with(UNFINISHED);
            if !unfinished && !name.ends_with(SUFFIX) {
                continue;
            }
            // Gone meanwhile.
            let Ok(meta) = entry.metadata() else { continue };
            let used = meta.modified()?.into_std();
            let age = now.duration_since(used).unwrap_or_default();
            files.push(Kept {
                used,
                bytes: meta.len(),
                abandoned: unfinished && age > ABANDONED,
                name,
            });
        }
        files.sort_by_key(|file| file.used);
        Ok(files)
    }

    /// The MAC of a file, before its contents. What stands before them has a fixed length.
    fn mac(&self, digest: &[u8; 32]) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(&self.fingerprint).update(digest);
        mac
    }

    fn name(&self, digest: &[u8; 32]) -> String {
        let [a, b, c, d, e, f, g, h, ..] = self.fingerprint;
        format!("{}-{}{SUFFIX}", hex(digest), hex(&[a, b, c, d, e, f, g, h]))
    }
}

/// A file of the directory.
struct Kept {
    name: String,
    bytes: u64,
    used: SystemTime,
    abandoned: bool,
}

/// For its owner alone, who is this user: as a keyring has to be.
fn private(path: &Path, meta: &cap_std::fs::Metadata) -> Result<(), StoreError> {
    let (mode, owner) = (meta.mode() & 0o777, meta.uid());
    if mode & 0o077 == 0 && owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(StoreError::NotPrivate {
        path: path.to_owned(),
        mode,
        owner,
    })
}

/// A key in one step: of two processes that start at once, one makes it and both have it.
fn make_key(dir: &Dir) -> io::Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let name = unfinished()?;
    let made = write_new(dir, &name, 0o600, &[&key], &[])
        // What is kept is of no use without it.
        .and_then(|()| dir.open(&name)?.sync_all())
        .and_then(|()| dir.hard_link(&name, dir, KEY));
    let _ = dir.remove_file(&name);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// A name that no other process has at the same time.
fn unfinished() -> io::Result<String> {
    let random = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(format!("{UNFINISHED}{random:016x}"))
}

/// Writes a file that was not there. It is not synced: one that a crash of the machine cut has a wrong MAC.
fn write_new(dir: &Dir, name: &str, mode: u32, parts: &[&[u8]], last: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = dir.open_with(name, &options)?.into_std();
    for part in parts {
        file.write_all(part)?;
    }
    file.write_all(last)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
