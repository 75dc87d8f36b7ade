#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt as _};

use super::*;
use crate::compile::{Generation, config, workshop::Workshop};

const LIMIT: u64 = 1 << 30;

struct Place {
    dir: tempfile::TempDir,
    workshop: Workshop,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            workshop: Workshop::new().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn store(&self, limit: u64) -> Result<Store, StoreError> {
        let fingerprint = self.workshop.fingerprint();
        Store::open(&self.path(), fingerprint, 64 << 20, limit)
    }

    /// A component without anything, compiled.
    fn compiled(&self) -> Compiled {
        let artefact = self.workshop.compile(Generation::P2, b"\0asm\x0d\0\x01\0");
        Compiled {
            analysis: Analysis {
                generation: Generation::P2,
                imports: vec!["wasi:http/types@0.2.12".into()],
                needs: BTreeSet::from(["key".to_owned()]),
            },
            code: Code::compiled(artefact.unwrap()),
        }
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

/// Makes the file another one, as nobody can write to it.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_kept_comes_back_and_runs() {
    let place = Place::new();
    let store = place.store(LIMIT).unwrap();
    assert!(store.get(&[1; 32]).is_none());
    let length = place.compiled().code.len();
    let put = store.put(&[1; 32], place.compiled());
    assert!(put.code.bytes().is_none(), "it is mapped from the file");
    // By another process, later.
    let got = place.store(LIMIT).unwrap().get(&[1; 32]).unwrap();
    assert_eq!(got.analysis.imports, ["wasi:http/types@0.2.12"]);
    assert!(got.analysis.needs.contains("key") && got.code.len() == length);
    let engine = wasmtime::Engine::new(&config(Generation::P2)).unwrap();
    for compiled in [put, got] {
        compiled.code.load(&engine).unwrap();
    }
    let file = fs::metadata(place.path().join(store.name(&[1; 32]))).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o400);
}

/// Trap 16.
#[test]
fn trap_16_a_file_that_is_not_as_this_host_wrote_it_is_never_loaded() {
    let place = Place::new();
    let store = place.store(LIMIT).unwrap();
    store.put(&[1; 32], place.compiled());
    let path = place.path().join(store.name(&[1; 32]));
    let good = fs::read(&path).unwrap();
    let mut broken = vec![Vec::new(), [good.as_slice(), &[0]].concat()];
    for at in (0..good.len())
        .step_by(97)
        .chain(good.len() - 60..good.len())
    {
        let mut other = good.clone();
        *other.get_mut(at).unwrap() ^= 0x10;
        broken.push(other);
        broken.push(good.get(..at).unwrap().to_vec());
        broken.push(good.get(at..).unwrap().to_vec());
    }
    // The whole is none of them.
    broken.retain(|bytes| *bytes != good);
    assert!(broken.len() > 100);
    for bytes in broken {
        fs::write(place.path().join("other"), &bytes).unwrap();
        fs::rename(place.path().join("other"), &path).unwrap();
        assert!(store.get(&[1; 32]).is_none());
        assert!(!path.exists(), "it is removed");
    }
    store.put(&[1; 32], place.compiled());
    assert!(store.get(&[1; 32]).is_some(), "it is replaced");
}

#[test]
fn trap_16_a_file_of_another_component_version_or_host_is_never_loaded() {
    let place = Place::new();
    let store = place.store(LIMIT).unwrap();
    store.put(&[1; 32], place.compiled());
    let path = place.path().join(store.name(&[1; 32]));
    let good = fs::read(&path).unwrap();
    // The native code of one component under the digest of another.
    fs::copy(&path, place.path().join(store.name(&[2; 32]))).unwrap();
    assert!(store.get(&[2; 32]).is_none());
    // Another version, and what it would find if it had the same names.
    let newer = Store::open(&place.path(), [9; 32], 64 << 20, LIMIT).unwrap();
    assert!(newer.get(&[1; 32]).is_none());
    fs::copy(&path, place.path().join(newer.name(&[1; 32]))).unwrap();
    assert!(newer.get(&[1; 32]).is_none());
    assert!(store.get(&[1; 32]).is_some(), "each has its own");
    // Another host: another key.
    fs::remove_file(place.path().join(KEY)).unwrap();
    let other = place.store(LIMIT).unwrap();
    assert!(other.get(&[1; 32]).is_none());
    other.put(&[1; 32], place.compiled());
    assert!(other.get(&[1; 32]).is_some());
    assert!(store.get(&[1; 32]).is_none(), "the old key is of no use");
    replace_or_new(&path, &good);
    assert!(other.get(&[1; 32]).is_none());
}

fn replace_or_new(path: &Path, bytes: &[u8]) {
    if path.exists() {
        replace(path, bytes);
    } else {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_directory_or_key_that_others_can_use_is_refused() {
    let place = Place::new();
    drop(place.store(LIMIT).unwrap());
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o755, 0o770, 0o711, 0o702] {
        set(&place.path(), mode);
        assert!(
            matches!(place.store(LIMIT), Err(StoreError::NotPrivate { .. })),
            "{mode:o}"
        );
    }
    set(&place.path(), 0o700);
    let key = place.path().join(KEY);
    set(&key, 0o640);
    assert!(matches!(
        place.store(LIMIT),
        Err(StoreError::NotPrivate { .. })
    ));
    set(&key, 0o600);
    replace(&key, &[1; 31]);
    set(&key, 0o600);
    let error = place.store(LIMIT).err().unwrap();
    assert!(
        crate::chain(&error).contains("remove the file key"),
        "{error}"
    );
}

#[test]
fn what_was_longest_of_no_use_goes_first() {
    let place = Place::new();
    let store = place.store(LIMIT).unwrap();
    store.put(&[0; 32], place.compiled());
    let size = fs::metadata(place.path().join(store.name(&[0; 32])))
        .unwrap()
        .len();
    let aged = |digest: u8, age: u64| {
        let file = File::open(place.path().join(store.name(&[digest; 32]))).unwrap();
        let then = SystemTime::now() - Duration::from_secs(age);
        file.set_times(FileTimes::new().set_modified(then)).unwrap();
    };
    for digest in 0..10 {
        store.put(&[digest; 32], place.compiled());
        aged(digest, 1_000 - u64::from(digest));
    }
    // The oldest is of use again.
    assert!(store.get(&[0; 32]).is_some());
    let unfinished = |name: &str, age| {
        let path = place.path().join(format!("{UNFINISHED}{name}"));
        let file = File::create(path).unwrap();
        let then = SystemTime::now() - age;
        file.set_times(FileTimes::new().set_modified(then)).unwrap();
    };
    unfinished("killed", ABANDONED * 2);
    unfinished("written", Duration::ZERO);
    // Ten fit, nine are left of eleven.
    let small = place.store(size * 10).unwrap();
    small.put(&[10; 32], place.compiled());
    small.tidy();
    let left: Vec<_> = (0..11).filter(|n| store.get(&[*n; 32]).is_some()).collect();
    assert_eq!(left, [0, 3, 4, 5, 6, 7, 8, 9, 10]);
    let files = place.files();
    assert!(
        files.contains("unfinished-written") && !files.contains("unfinished-killed"),
        "{files:?}"
    );
    assert!(files.contains(KEY));
}

#[test]
fn a_directory_that_is_gone_costs_the_keeping_only() {
    let place = Place::new();
    let store = place.store(LIMIT).unwrap();
    fs::remove_dir_all(place.path()).unwrap();
    let put = store.put(&[1; 32], place.compiled());
    assert!(put.code.bytes().is_some(), "the code itself is there");
    assert!(store.get(&[1; 32]).is_none());
}

#[test]
fn processes_share_a_directory() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Each makes the directory and the key, and one of each is there in the end.
                let store = place.store(1 << 20).unwrap();
                for round in 0..50 {
                    let digest = [round % 10; 32];
                    let put = store.put(&digest, place.compiled());
                    store.tidy();
                    assert!(put.code.bytes().is_none(), "it was kept");
                }
            });
        }
    });
    let store = place.store(1 << 20).unwrap();
    assert!((0..10).all(|digest| store.get(&[digest; 32]).is_some()));
    let files = place.files();
    assert!(
        !files.iter().any(|name| name.starts_with(UNFINISHED)),
        "{files:?}"
    );
}
