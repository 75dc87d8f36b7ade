//! Which files have changed, by looking at them: a hundred calls of stat take less than a millisecond, work in
//! containers and on network drives, and need no library.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often files are looked at. A person does not notice it, and a processor neither.
const LOOK: Duration = Duration::from_millis(100);
/// How long nothing must change: editors write a file in steps.
const SETTLE: Duration = Duration::from_millis(30);
/// Files that are looked at, at most.
const MOST: usize = 5_000;
/// Directories in each other.
const DEEPEST: usize = 16;

/// What is looked at.
pub(super) struct Watch {
    /// With all that is below them, links excepted.
    pub(super) directories: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
}

/// How files were at a time; a file that is not there has no stamp.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Seen(BTreeMap<PathBuf, Option<Stamp>>);

#[derive(Debug, Eq, PartialEq)]
struct Stamp {
    modified: (i64, i64),
    size: u64,
    inode: u64,
}

impl Watch {
    pub(super) fn look(&self) -> Seen {
        let mut seen = BTreeMap::new();
        for directory in &self.directories {
            walk(directory, 0, &mut seen);
        }
        for file in &self.files {
            if seen.len() < MOST && !seen.contains_key(file) {
                seen.insert(file.clone(), stamp(file));
            }
        }
        Seen(seen)
    }

    /// Ready when something is other than in `before` and has settled; says what.
    pub(super) async fn changed(&self, before: &Seen) -> PathBuf {
        let mut last = None;
        loop {
            let now = self.look();
            match now.differs(before) {
                Some(path) if last.as_ref() == Some(&now) => return path,
                Some(_) => {
                    last = Some(now);
                    tokio::time::sleep(SETTLE).await;
                }
                None => {
                    last = None;
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }
}

impl Seen {
    /// Takes files that `watch` has come to look at as they are now.
    pub(super) fn adopt(&mut self, watch: &Watch) {
        for file in &watch.files {
            if !self.0.contains_key(file) {
                self.0.insert(file.clone(), stamp(file));
            }
        }
    }

    /// A path that is not as it was.
    fn differs(&self, before: &Self) -> Option<PathBuf> {
        let other = |(path, stamp): &(&PathBuf, &Option<Stamp>)| {
            before.0.get(*path).unwrap_or(&None) != *stamp
        };
        let gone = |(path, stamp): &(&PathBuf, &Option<Stamp>)| {
            stamp.is_some() && !self.0.contains_key(*path)
        };
        let changed = self.0.iter().find(other);
        let changed = changed.or_else(|| before.0.iter().find(gone));
        changed.map(|(path, _)| path.clone())
    }
}

fn walk(directory: &Path, depth: usize, seen: &mut BTreeMap<PathBuf, Option<Stamp>>) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        if seen.len() >= MOST {
            return;
        }
        let (path, name) = (entry.path(), entry.file_name());
        // What editors put beside a file while they have it open.
        if name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().ends_with(b"~") {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < DEEPEST => walk(&path, depth + 1, seen),
            Ok(kind) if kind.is_dir() => {}
            _ => {
                let stamp = stamp(&path);
                seen.insert(path, stamp);
            }
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        size: metadata.size(),
        inode: metadata.ino(),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_or_other_or_gone_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("src/deep")).unwrap();
        fs::write(path("src/a"), "1").unwrap();
        let watch = Watch {
            directories: vec![path("src")],
            files: vec![path("Cargo.toml"), path("src/a")],
        };
        let mut before = watch.look();
        assert_eq!(watch.look().differs(&before), None);
        type Change = fn(&Path);
        let changes: [(&str, Change); 5] = [
            ("src/a", |path| fs::write(path, "22").unwrap()),
            ("src/deep/b", |path| fs::write(path, "").unwrap()),
            ("src/deep/b", |path| fs::remove_file(path).unwrap()),
            ("Cargo.toml", |path| fs::write(path, "").unwrap()),
            ("Cargo.toml", |path| fs::remove_file(path).unwrap()),
        ];
        for (name, change) in changes {
            change(&path(name));
            let now = watch.look();
            assert_eq!(now.differs(&before), Some(path(name)), "{name}");
            before = now;
        }
        fs::write(path("src/.a.swp"), "").unwrap();
        fs::write(path("src/a~"), "").unwrap();
        assert_eq!(watch.look().differs(&before), None);
    }

    #[tokio::test]
    async fn a_change_is_told_once_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a");
        let watch = Watch {
            directories: Vec::new(),
            files: vec![file.clone()],
        };
        let before = watch.look();
        let (changed, ()) = tokio::join!(watch.changed(&before), async {
            fs::write(&file, "1").unwrap();
        });
        assert_eq!(changed, file);
    }
}
