//! Compiled code on disk: a restart compiles nothing, and nothing but this host's own code is loaded.

mod warm;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use webtask_tests::examples;

use crate::{
    bombs,
    common::{Running, failure, keyring, run, stdout, text, wait_for, webtask},
    serve::request,
};

/// A directory with a keyring, code, and a cache.
struct Place {
    dir: tempfile::TempDir,
    keys: String,
}

/// A serving process of it.
struct Server {
    running: Running,
    log: PathBuf,
}

impl Place {
    fn new() -> Self {
        let (dir, keys) = keyring();
        fs::create_dir(dir.path().join("code")).expect("own directory");
        Self { dir, keys }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// The files of native code.
    fn kept(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.cache()).expect("a cache");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "code")
            })
            .collect()
    }

    /// Tokens of components with a digest of their own each.
    fn tokens(&self, number: usize) -> Vec<String> {
        let hello = fs::read(examples::HELLO).expect("hello is built");
        let token = |number| {
            let file = self.dir.path().join(format!("code/{number}.wasm"));
            fs::write(&file, bombs::unseen(&hello, number)).expect("own directory");
            let args = [
                "token",
                "create",
                "--keys",
                &self.keys,
                "--url",
                text(&file),
            ];
            stdout(&run(&args))
        };
        (0..number).map(token).collect()
    }

    fn args(&self, cache: &Path, revocations: &str) -> Vec<String> {
        let code = self.dir.path().join("code");
        let revocations = self.dir.path().join(revocations);
        let args = [
            "serve",
            "--keys",
            &self.keys,
            "--listen",
            "127.0.0.1:0",
            "--allow-code",
            text(&code),
            "--cache-dir",
            text(cache),
            "--revocations",
            text(&revocations),
        ];
        args.map(str::to_owned).to_vec()
    }

    fn start(&self, name: &str) -> Server {
        self.start_in(name, &self.cache())
    }

    fn start_in(&self, name: &str, cache: &Path) -> Server {
        self.start_with(name, cache, "")
    }

    /// With a configuration.
    fn start_with(&self, name: &str, cache: &Path, config: &str) -> Server {
        let file = self.dir.path().join("webtask.toml");
        fs::write(&file, config).expect("own directory");
        let log = self.dir.path().join(format!("{name}.log"));
        let args = self.args(cache, &format!("{name}.revocations"));
        let mut args: Vec<_> = args.iter().map(String::as_str).collect();
        args.extend(["--config", text(&file)]);
        let file = fs::File::create(&log).expect("own directory");
        let running = Running::start_logged(&args, &[], "listening", Stdio::from(file));
        Server { running, log }
    }
}

impl Server {
    fn answers(&self, token: &str) {
        let answer = request(&self.running.address, "GET", "/run", token);
        let (status, answer) = answer.expect("the server answers");
        assert_eq!(status, 200, "{answer}\n{}", self.log());
    }

    /// Answers each of them and ends; what it logged.
    fn answers_all(self, tokens: &[String]) -> String {
        tokens.iter().for_each(|token| self.answers(token));
        self.stop()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    /// Ends well; what it logged.
    fn stop(mut self) -> String {
        self.running.signal("-TERM");
        assert!(self.running.wait().success());
        self.log()
    }
}

fn counted(log: &str) -> String {
    let last = log
        .lines()
        .find(|line| line.contains("stopped; components"));
    let words = last.unwrap_or_default().split_whitespace();
    let count = |word: &&str| word.starts_with("compiled=") || word.starts_with("loaded=");
    words.filter(count).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_restart_with_a_full_cache_compiles_nothing() {
    let place = Place::new();
    let tokens = place.tokens(3);
    assert_eq!(
        counted(&place.start("first").answers_all(&tokens)),
        "compiled=3 loaded=0"
    );
    // Not even the components are needed.
    fs::remove_dir_all(place.dir.path().join("code")).expect("own directory");
    fs::create_dir(place.dir.path().join("code")).expect("own directory");
    assert_eq!(
        counted(&place.start("second").answers_all(&tokens)),
        "compiled=0 loaded=3"
    );
}

/// Native code is mapped from its files: what is out of memory is mapped no more.
#[test]
fn code_that_nobody_asks_for_is_given_back() {
    const MANY: usize = 12;
    let place = Place::new();
    let tokens = place.tokens(MANY);
    let names = |server: &Server| {
        let maps = format!("/proc/{}/maps", server.running.child.id());
        let maps = fs::read_to_string(maps).expect("Linux");
        let files = maps.lines().filter_map(|line| line.split_once(".code"));
        files
            .filter_map(|(path, _)| path.rsplit('/').next())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let mapped = |server: &Server| names(server).len();
    place.start("first").answers_all(&tokens);
    let all = place.start("all");
    tokens.iter().for_each(|token| all.answers(token));
    assert_eq!(mapped(&all), MANY);
    all.stop();
    // Three of them fit. Those that are used once do not drive out the one that is used often.
    let few = "limits.cache-bytes = '1MiB'";
    let few = place.start_with("few", &place.cache(), few);
    (0..30).for_each(|_| few.answers(&tokens[0]));
    let often = names(&few);
    tokens.iter().for_each(|token| few.answers(token));
    wait_for(|| (mapped(&few) <= 3).then_some(()));
    assert!(names(&few).is_superset(&often), "{:?}", names(&few));
    few.stop();
    let short = "limits.cache-idle = '300ms'";
    let short = place.start_with("short", &place.cache(), short);
    tokens.iter().for_each(|token| short.answers(token));
    wait_for(|| {
        short.answers(&tokens[0]);
        (mapped(&short) == 1).then_some(())
    });
    let log = short.stop();
    assert!(counted(&log).starts_with("compiled=0"), "{log}");
}

/// Trap 16, with the command.
#[test]
fn trap_16_what_is_wrong_on_disk_is_told_compiled_anew_and_replaced() {
    let place = Place::new();
    let tokens = place.tokens(4);
    place.start("first").answers_all(&tokens);
    let kept = place.kept();
    assert_eq!(kept.len(), 4, "{kept:?}");
    let (corrupt, cut, other, empty) = (&kept[0], &kept[1], &kept[2], &kept[3]);
    let replace = |path: &Path, bytes: &[u8]| {
        fs::remove_file(path).expect("own directory");
        fs::write(path, bytes).expect("own directory");
    };
    let mut bytes = fs::read(corrupt).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    replace(corrupt, &bytes);
    let bytes = fs::read(cut).expect("a file");
    replace(cut, &bytes[..bytes.len() - 1]);
    replace(other, &fs::read(empty).expect("a file"));
    replace(empty, b"");
    let log = place.start("second").answers_all(&tokens);
    assert_eq!(counted(&log), "compiled=4 loaded=0", "{log}");
    assert_eq!(log.matches("not as this host wrote it").count(), 4, "{log}");
    assert_eq!(
        counted(&place.start("third").answers_all(&tokens)),
        "compiled=0 loaded=4"
    );
    // Another host's: all of it, and another key.
    fs::remove_file(place.cache().join("key")).expect("own directory");
    assert_eq!(
        counted(&place.start("fourth").answers_all(&tokens)),
        "compiled=4 loaded=0"
    );
}

#[test]
fn a_kill_while_code_is_written_leaves_nothing_harmful() {
    let place = Place::new();
    let tokens = place.tokens(12);
    for (round, share) in tokens.chunks(4).enumerate() {
        let mut server = place.start(&format!("round{round}"));
        std::thread::scope(|scope| {
            for token in share {
                let address = server.running.address.clone();
                // It may be gone before it answers.
                scope.spawn(move || drop(request(&address, "GET", "/run", token)));
            }
            // Others are under way then.
            while place.kept().len() < round * 4 + 1
                && server
                    .running
                    .child
                    .try_wait()
                    .is_ok_and(|end| end.is_none())
            {
                std::thread::yield_now();
            }
            server.running.signal("-KILL");
        });
        server.running.wait();
    }
    let kept = place.kept().len();
    assert!(kept >= 3, "{kept}");
    let log = place.start("last").answers_all(&tokens);
    assert_eq!(
        counted(&log),
        format!("compiled={} loaded={kept}", 12 - kept),
        "{log}"
    );
    assert!(!log.contains("not as this host wrote it"), "{log}");
}

#[test]
fn two_processes_fill_one_directory() {
    let place = Place::new();
    let tokens = place.tokens(6);
    let servers = [place.start("one"), place.start("two")];
    std::thread::scope(|scope| {
        for server in &servers {
            let tokens = &tokens;
            scope.spawn(move || tokens.iter().for_each(|token| server.answers(token)));
        }
    });
    for server in servers {
        let log = server.stop();
        assert!(!log.contains("WARN"), "{log}");
    }
    assert_eq!(place.kept().len(), 6);
    assert_eq!(
        counted(&place.start("third").answers_all(&tokens)),
        "compiled=0 loaded=6"
    );
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_the_keeping() {
    let place = Place::new();
    let tokens = place.tokens(2);
    let gone = place.start("gone");
    fs::remove_dir_all(place.cache()).expect("own directory");
    gone.answers(&tokens[0]);
    let log = gone.stop();
    assert!(log.contains("cannot be kept on disk"), "{log}");
    // A full disk, where this user may make one.
    let small = place.dir.path().join("small");
    fs::create_dir(&small).expect("own directory");
    let mut mount = Command::new("mount");
    mount.args([
        "-t",
        "tmpfs",
        "-o",
        "size=64k,mode=700",
        "none",
        text(&small),
    ]);
    if !mount.status().is_ok_and(|status| status.success()) {
        eprintln!("no file system of its own to fill");
        return;
    }
    let full = place.start_in("full", &small);
    full.answers(&tokens[1]);
    let log = full.stop();
    let left = fs::read_dir(&small).expect("a directory").count();
    let unmounted = Command::new("umount").arg(&small).status();
    assert!(unmounted.expect("umount runs").success());
    assert!(log.contains("cannot be kept on disk"), "{log}");
    assert_eq!(left, 1, "the key alone");
}

#[test]
fn a_cache_directory_that_others_can_use_is_refused() {
    let place = Place::new();
    fs::create_dir(place.cache()).expect("own directory");
    fs::set_permissions(place.cache(), fs::Permissions::from_mode(0o755)).expect("own directory");
    let args = place.args(&place.cache(), "revocations");
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let (status, error) = failure(&webtask(&args).output().expect("starts"));
    assert!(status == 2 && error.contains("chmod 700"), "{error}");
}
