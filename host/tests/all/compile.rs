//! Compiling, in processes of its own: what it may use, how it ends, and who notices.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use webtask_tests::{SOON, examples};

use crate::{
    bombs,
    common::{Running, keyring, run, stdout, text, wait_for},
    serve::request,
};

/// A serving process with a directory of code, and the limits of a test.
struct Server {
    dir: tempfile::TempDir,
    keys: String,
    running: Running,
    files: AtomicUsize,
}

impl Server {
    fn start(limits: &str) -> Self {
        let (dir, keys) = keyring();
        let file = dir.path().join("webtask.toml");
        fs::write(&file, format!("[limits]\n{limits}\n")).expect("own directory");
        let code = dir.path().join("code");
        fs::create_dir(&code).expect("own directory");
        let log = fs::File::create(dir.path().join("log")).expect("own directory");
        let args = [
            "serve",
            "--keys",
            &keys,
            "--listen",
            "127.0.0.1:0",
            "--config",
            text(&file),
            "--allow-code",
            text(&code),
        ];
        let environment = [("A_SECRET", "of the operator")];
        let running = Running::start_logged(&args, &environment, "listening", Stdio::from(log));
        Self {
            dir,
            keys,
            running,
            files: AtomicUsize::new(0),
        }
    }

    /// A token for this component.
    fn token(&self, wasm: &[u8]) -> String {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let file = self.dir.path().join(format!("code/{number}.wasm"));
        fs::write(&file, wasm).expect("own directory");
        let args = ["token", "create", "--keys", &self.keys, "--url"];
        stdout(&run(&[args.as_slice(), &[text(&file)]].concat()))
    }

    /// The status and code of a call.
    fn call(&self, token: &str) -> (u16, String) {
        let (status, answer) =
            request(&self.running.address, "GET", "/run", token).expect("the server answers");
        let code = answer.split("\"code\":\"").nth(1).unwrap_or_default();
        (
            status,
            code.split('"').next().unwrap_or_default().to_owned(),
        )
    }

    /// A component that was never seen before compiles and answers.
    fn compiles(&self) {
        let number = self.files.load(Ordering::Relaxed);
        let token = self.token(&bombs::unseen(&hello(), number));
        let answer = self.call(&token);
        assert_eq!(answer, (200, String::new()), "{}", self.log());
    }

    /// What it logged, but for the calls.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("log")).expect("a log");
        let lines = log.lines().filter(|line| !line.contains("::access"));
        lines.fold(String::new(), |all, line| all + line + "\n")
    }

    /// The processes that it started and that still run.
    fn compilers(&self) -> Vec<u32> {
        let parent = self.running.child.id();
        let processes = fs::read_dir("/proc").expect("Linux");
        let number = |entry: std::io::Result<fs::DirEntry>| {
            entry.ok()?.file_name().to_str()?.parse::<u32>().ok()
        };
        processes
            .filter_map(number)
            .filter(|pid| stat(*pid).is_some_and(|stat| stat.parent == parent && stat.state != 'Z'))
            .collect()
    }

    /// The compiler that waits for a component.
    fn spare(&self) -> u32 {
        let limited = |pid: &u32| of_proc(*pid, "status").contains("NoNewPrivs:\t1");
        wait_for(|| self.compilers().into_iter().find(limited))
    }
}

/// What `/proc` tells of a process.
struct Stat {
    parent: u32,
    state: char,
    /// Hundredths of a second.
    cpu: u64,
    nice: i64,
}

fn stat(pid: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<i64>().ok());
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: u32::try_from(number(1)?).ok()?,
        cpu: u64::try_from(number(11)? + number(12)?).ok()?,
        nice: number(16)?,
    })
}

fn of_proc(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

fn hello() -> Vec<u8> {
    fs::read(examples::HELLO).expect("hello is built")
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.expect("kill runs").success());
}

/// Says that something is over when it is dropped.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How often `token` is answered while `work` goes on; all answers are good.
fn served_beside(server: &Server, token: &str, work: impl FnOnce()) -> usize {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut calls = 0;
            while !over.load(Ordering::Relaxed) {
                assert_eq!(server.call(token), (200, String::new()));
                calls += 1;
            }
            calls
        });
        // Also when the work panics: nothing ends before all of the scope does.
        let end = End(&over);
        work();
        drop(end);
        calls.join().expect("no panic")
    })
}

const TIMEOUT: &str = "component-timeout";
const MEMORY: &str = "component-compile-memory";
const INVALID: &str = "component-invalid";
const LARGE: &str = "component-too-large";

/// Trap 15. Each ends within its limits with an error of its own, a webtask that is compiled is served
/// meanwhile, and afterwards a new one compiles.
#[test]
fn trap_15_a_compile_bomb_takes_what_its_limits_say_and_nothing_else() {
    let server = Server::start("compile = '8s'\ncompile-memory = '512MiB'\ncompilers = 1");
    let warm = server.token(&hello());
    assert_eq!(server.call(&warm), (200, String::new()), "{}", server.log());
    let mut large = bombs::component(&[]);
    large.resize(100 << 20, 0);
    for (name, bomb, codes) in [
        // Which limit comes first depends on the machine.
        (
            "one huge function",
            bombs::huge_function(50_000),
            [TIMEOUT, MEMORY].as_slice(),
        ),
        (
            "many functions",
            bombs::many_functions(100_000),
            &[TIMEOUT, MEMORY, INVALID],
        ),
        (
            "nested blocks",
            bombs::deep_blocks(1_000_000),
            &[TIMEOUT, MEMORY, INVALID],
        ),
        (
            "types in types",
            bombs::deep_types(100_000),
            &[TIMEOUT, MEMORY, INVALID],
        ),
        ("doubled types", bombs::doubled_types(100), &[INVALID]),
        (
            "components in components",
            bombs::deep_components(5_000),
            &[TIMEOUT, MEMORY, INVALID],
        ),
        ("many imports", bombs::many_imports(10_000), &[INVALID]),
        ("100 MiB", large, &[LARGE]),
    ] {
        let token = server.token(&bomb);
        let started = Instant::now();
        let calls = served_beside(&server, &warm, || {
            let (status, code) = server.call(&token);
            assert!(
                codes.contains(&code.as_str()),
                "{name}: {status} {code}\n{}",
                server.log()
            );
        });
        let took = started.elapsed();
        assert!(took < SOON, "{name} took {took:?}");
        // A hundredth of what it serves alone.
        assert!(
            calls as f64 >= (took.as_secs_f64() * 10.0).floor(),
            "{name}: {calls} in {took:?}"
        );
        server.compiles();
    }
}

#[test]
fn a_compiler_out_of_time_is_ended_and_the_same_bytes_are_not_tried_again() {
    let server = Server::start("compile = '2s'\ncompile-memory = '8GiB'");
    let token = server.token(&bombs::huge_function(100_000));
    assert_eq!(
        server.call(&token),
        (504, TIMEOUT.into()),
        "{}",
        server.log()
    );
    let again = Instant::now();
    assert_eq!(server.call(&token), (504, TIMEOUT.into()));
    assert!(
        again.elapsed() < Duration::from_secs(2),
        "it was tried again"
    );
    let busy = |pid: &u32| stat(*pid).is_some_and(|stat| stat.cpu > 20);
    wait_for(|| (!server.compilers().iter().any(busy)).then_some(()));
    assert!(
        server.log().contains("the limit compile"),
        "{}",
        server.log()
    );
}

#[test]
fn a_compiler_out_of_memory_is_an_error_of_its_component() {
    let server = Server::start("compile = '10m'\ncompile-memory = '256MiB'");
    let token = server.token(&bombs::huge_function(100_000));
    assert_eq!(
        server.call(&token),
        (502, MEMORY.into()),
        "{}",
        server.log()
    );
    assert!(
        server.log().contains("the limit compile-memory"),
        "{}",
        server.log()
    );
    server.compiles();
}

#[test]
fn native_code_is_bounded() {
    let server = Server::start("compiled-bytes = '10KiB'");
    let token = server.token(&hello());
    assert_eq!(server.call(&token), (502, LARGE.into()), "{}", server.log());
    assert!(
        server.log().contains("the limit compiled-bytes"),
        "{}",
        server.log()
    );
}

/// The second one waits for the only compiler: until it is free, or for as long as it may.
#[test]
fn components_that_are_compiled_at_the_same_time_are_bounded() {
    let server = Server::start("compile = '3s'\ncompile-memory = '8GiB'\ncompilers = 1");
    let bombs = [200_000, 200_001].map(|size| server.token(&bombs::huge_function(size)));
    let started = Instant::now();
    let codes = std::thread::scope(|scope| {
        let calls = bombs
            .each_ref()
            .map(|token| scope.spawn(|| server.call(token).1));
        calls.map(|call| call.join().expect("no panic"))
    });
    let waited = codes.contains(&"overloaded".to_owned());
    let in_turn = started.elapsed() >= std::time::Duration::from_secs(5);
    assert!(waited || in_turn, "{codes:?} after {:?}", started.elapsed());
    assert!(codes.contains(&TIMEOUT.to_owned()), "{codes:?}");
}

#[test]
fn a_killed_compiler_fails_one_component_and_no_other() {
    let server = Server::start("compile = '10m'\ncompile-memory = '8GiB'");
    let warm = server.token(&hello());
    assert_eq!(server.call(&warm).0, 200, "{}", server.log());
    let token = server.token(&bombs::huge_function(100_000));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| server.call(&token));
        let busy = |pid: &u32| stat(*pid).is_some_and(|stat| stat.cpu > 20);
        kill(wait_for(|| server.compilers().into_iter().find(busy)));
        let answer = call.join().expect("no panic");
        assert_eq!(answer, (500, "compiler-failed".into()), "{}", server.log());
    });
    assert!(server.log().contains("signal: 9"), "{}", server.log());
    assert_eq!(server.call(&warm).0, 200);
    server.compiles();
    // Also one that has nothing to do.
    kill(server.spare());
    server.compiles();
}

#[test]
fn a_compiler_has_nothing_but_its_pipes_and_cannot_take_more() {
    let server = Server::start("compile = '7s'\ncompile-memory = '600MiB'");
    let spare = server.spare();
    let limits = of_proc(spare, "limits");
    for (name, limit) in [
        ("Max data size", 600 << 20),
        ("Max core file size", 0),
        ("Max file size", 0),
        ("Max open files", 16),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name));
        let numbers = line.expect("a limit").trim_start_matches(name);
        let numbers: Vec<_> = numbers.split_whitespace().take(2).collect();
        assert_eq!(numbers, [limit.to_string(), limit.to_string()], "{limits}");
    }
    let cpu = limits.lines().find(|line| line.starts_with("Max cpu time"));
    assert!(!cpu.expect("a limit").contains("unlimited"), "{limits}");
    let environment = of_proc(spare, "environ");
    let names: Vec<_> = environment
        .split('\0')
        .filter_map(|one| one.split('=').next())
        .collect();
    assert_eq!(
        names,
        ["MIMALLOC_ARENA_RESERVE", "RAYON_NUM_THREADS", ""],
        "{environment}"
    );
    let nice = |pid: u32| stat(pid).expect("it runs").nice;
    assert!(nice(spare) >= (nice(std::process::id()) + 5).min(19));
    // What this test itself was started with is everybody's who does not close it.
    let inherited = open_files(std::process::id());
    let mut open = open_files(spare);
    open.retain(|file| !inherited.contains(file));
    let pipes = open.iter().filter(|file| text(file).starts_with("pipe:"));
    assert_eq!((open.len(), pipes.count()), (3, 3), "{open:?}");
}

fn open_files(pid: u32) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("own process");
    let path = |file: std::io::Result<fs::DirEntry>| fs::read_link(file.ok()?.path()).ok();
    files.filter_map(path).collect()
}

#[test]
fn no_compiler_is_used_twice_or_outlives_its_host() {
    let mut server = Server::start("");
    let first = server.spare();
    server.compiles();
    let second = wait_for(|| Some(server.spare()).filter(|spare| *spare != first));
    server.compiles();
    let third = wait_for(|| Some(server.spare()).filter(|spare| *spare != second));
    assert!(third != first && stat(first).is_none() && stat(second).is_none());
    server.running.signal("-KILL");
    server.running.wait();
    wait_for(|| {
        stat(third)
            .is_none_or(|stat| stat.state == 'Z')
            .then_some(())
    });
}
