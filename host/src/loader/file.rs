//! Code in files, below granted directories only.

use std::{
    io::{self, Read as _},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use cap_std::fs::{Dir, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _};

use super::{
    LoadError, Worker,
    fetch::{Failure, failed},
    known::Basis,
    source::{From, Source},
};

/// A file that was written within this time may be written again without another time stamp: those of
/// common file systems are some milliseconds apart, those of others a second.
const SETTLED: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change of the contents.
    modified: (i64, i64),
    /// The same of the file itself, which nobody can set back.
    changed: (i64, i64),
}

impl FileId {
    fn of(found: &Metadata) -> io::Result<Self> {
        if !found.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether a change after `now` will show.
    fn settled(&self, now: SystemTime) -> bool {
        let last = u64::try_from(self.modified.0.max(self.changed.0)).unwrap_or(0);
        let since = UNIX_EPOCH
            .checked_add(Duration::from_secs(last))
            .and_then(|last| now.duration_since(last).ok());
        since.is_some_and(|since| since >= SETTLED)
    }
}

impl Worker {
    /// The state of the file of `source`; `None` if it is not one.
    pub(super) async fn look(&self, source: &Source) -> Result<Option<FileId>, LoadError> {
        let From::File { dir, path } = &source.from else {
            return Ok(None);
        };
        let (dir, path) = (dir.clone(), path.clone());
        // A file system may be a network's: no request waits for the one of another.
        let looked = tokio::task::spawn_blocking(move || FileId::of(&dir.metadata(path)?)).await;
        let id = looked
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| failed(source, error).error)?;
        Ok(Some(id))
    }

    /// The bytes of a file, and what they can be known by.
    pub(super) async fn read(
        &self,
        source: &Source,
        dir: &Arc<Dir>,
        path: &Path,
    ) -> Result<(Bytes, Basis), Failure> {
        let (dir, path) = (dir.clone(), path.to_owned());
        let limit = self.limits.component_bytes;
        let read = tokio::task::spawn_blocking(move || read(&dir, &path, limit)).await;
        let (bytes, basis) = read
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| failed(source, error))?;
        if bytes.len() as u64 > limit {
            let url = source.shown();
            return Err(LoadError::TooLarge { url, limit }.into());
        }
        Ok((bytes.into(), basis))
    }
}

/// At most one byte more than `limit`.
fn read(dir: &Dir, path: &Path, limit: u64) -> io::Result<(Vec<u8>, Basis)> {
    // A pipe or device would otherwise wait for its other end.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(nonblock);
    let file = dir.open_with(path, &options)?;
    let id = FileId::of(&file.metadata()?)?;
    let settled = id.settled(SystemTime::now());
    let mut bytes = Vec::new();
    (&file)
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if FileId::of(&file.metadata()?)? != id {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok((bytes, Basis::File { id, settled }))
}
