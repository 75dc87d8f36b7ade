//! Files that are read again while the runtime serves: when they change, and when somebody asks.

use std::{path::PathBuf, time::SystemTime};

use super::Failure;

/// Files that belong together, and what takes them.
pub(super) struct Watched<'a> {
    /// What they are, for the log.
    what: &'static str,
    files: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
    /// Takes what is in the files now, and says what that is.
    take: Box<dyn FnMut() -> Result<String, Failure> + 'a>,
}

/// What changes when a file is written or replaced.
type Stamp = (u64, u64, SystemTime);

impl<'a> Watched<'a> {
    pub(super) fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        take: impl FnMut() -> Result<String, Failure> + 'a,
    ) -> Self {
        Self {
            what,
            seen: stamps(&files),
            files,
            take: Box::new(take),
        }
    }

    /// Takes the files if one changed, or if somebody `asked`. What cannot be taken leaves in force what was
    /// there before.
    pub(super) fn look(&mut self, asked: bool) {
        let (now, what) = (stamps(&self.files), self.what);
        if !asked && now == self.seen {
            return;
        }
        self.seen = now;
        match (self.take)() {
            Ok(taken) => tracing::info!(taken, "{what} read again"),
            Err(failure) => {
                tracing::error!(cause = %failure, "{what} not read; the old one stays in force");
            }
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    use std::os::unix::fs::MetadataExt as _;
    let stamp = |file: &PathBuf| {
        let meta = std::fs::metadata(file).ok()?;
        Some((meta.ino(), meta.len(), meta.modified().ok()?))
    };
    files.iter().map(stamp).collect()
}
