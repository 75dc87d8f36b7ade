//! A serving process and what starts, stops and feeds it: signals, a service manager, limits of the system.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::PermissionsExt as _,
            net::{UnixDatagram, UnixListener, UnixStream},
            process::ExitStatusExt as _,
        },
    },
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use webtask_tests::{Authority, BUILT, examples, guests};

use crate::common::{Running, failure, keyring, run, stdout, text, webtask};

const SOON: Duration = Duration::from_secs(60);

fn token(keys: &str, wasm: &str) -> String {
    stdout(&run(&["token", "create", "--keys", keys, "--url", wasm]))
}

fn serve<'a>(keys: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["serve", "--keys", keys, "--allow-code", BUILT];
    [&fixed[..], more].concat()
}

/// The command through a shell that does `before` first.
fn through_shell(before: &str, args: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{before}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_webtask"))
        .args(args)
        .env_remove("WEBTASK_KEYS")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// A child that is killed when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The head of an answer to `GET path`; `None` if the connection ends without one.
fn ask(mut stream: impl std::io::Read + std::io::Write, path: &str, token: &str) -> Option<String> {
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nwebtask-token: {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

fn address(server: &Running) -> &str {
    server.address.strip_prefix("http://").expect("a URL")
}

/// Descriptors run out, and come back: the process goes on.
#[test]
fn trap_22_a_process_without_descriptors_goes_on_serving() {
    let (_dir, keys) = keyring();
    let token = token(&keys, examples::HELLO);
    let args = serve(&keys, &["--listen", "127.0.0.1:0"]);
    let mut server = Guard(through_shell("ulimit -n 60", &args).spawn().expect("sh"));
    let mut lines = BufReader::new(server.0.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.split("http://").nth(1).expect("an address").to_owned();
    let served = || {
        ask(
            TcpStream::connect(&address).expect("the kernel accepts"),
            "/run",
            &token,
        )
    };
    assert!(served().is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let held: Vec<_> = (0..80)
        .map(|_| TcpStream::connect(&address).expect("queued"))
        .collect();
    let mut errors = BufReader::new(server.0.stderr.take().expect("piped")).lines();
    let told = errors
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains("accept failed"));
    assert!(told.is_some_and(|line| line.contains("os error 24")));
    drop(held);
    assert!(served().is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    assert!(server.0.try_wait().expect("a child").is_none());
}

/// Whoever read the log has gone: requests are answered all the same.
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let (_dir, keys) = keyring();
    let token = token(&keys, examples::HELLO);
    let args = serve(&keys, &["--listen", "127.0.0.1:0"]);
    let mut server = Guard(through_shell(":", &args).spawn().expect("sh"));
    let mut lines = BufReader::new(server.0.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.split("http://").nth(1).expect("an address").to_owned();
    drop(server.0.stderr.take());
    for _ in 0..3 {
        let stream = TcpStream::connect(&address).expect("it listens");
        let answer = ask(stream, "/run", &token);
        assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    }
}

/// The first signal waits for what runs, the second does not.
#[test]
fn the_second_signal_ends_at_once() {
    let (_dir, keys) = keyring();
    let token = token(&keys, guests::PARK);
    let args = serve(&keys, &["--listen", "127.0.0.1:0", "--drain", "1h"]);
    let mut server = Running::start(&args, "listening");
    let mut running = TcpStream::connect(address(&server)).expect("it listens");
    let head = format!(
        "POST /run HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\ncontent-length: 9\r\n\r\n"
    );
    running.write_all(head.as_bytes()).expect("sent");
    // Served after it, so the first one has been accepted.
    assert!(
        ask(
            TcpStream::connect(address(&server)).expect("it listens"),
            "/run",
            ""
        )
        .is_some()
    );
    server.signal("-TERM");
    until("it still accepts", || {
        TcpStream::connect(address(&server)).is_err()
    });
    assert!(
        server.child.try_wait().expect("a child").is_none(),
        "it waits"
    );
    let second = Instant::now();
    server.signal("-TERM");
    let status = server.wait();
    assert!(status.success() && status.signal().is_none(), "{status:?}");
    assert!(second.elapsed() < Duration::from_secs(20));
}

/// `--drain` bounds it, also with a caller that never goes.
#[test]
fn the_time_to_drain_is_the_operators() {
    let (dir, keys) = keyring();
    let config = dir.path().join("webtask.toml");
    fs::write(
        &config,
        "drain = '1h'\nlisten = ['127.0.0.1:0']\n[limits]\nwall = '10m'\n",
    )
    .expect("a file");
    let token = token(&keys, guests::PARK);
    let args = serve(&keys, &["--config", text(&config), "--drain", "200ms"]);
    let mut server = Running::start(&args, "listening");
    let mut running = TcpStream::connect(address(&server)).expect("it listens");
    let head = format!("GET /run HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n");
    running.write_all(head.as_bytes()).expect("sent");
    assert!(
        ask(
            TcpStream::connect(address(&server)).expect("it listens"),
            "/run",
            ""
        )
        .is_some()
    );
    server.signal("-TERM");
    assert!(server.wait().success());
}

/// A socket from systemd, of either kind, and what systemd wants to know.
#[test]
fn sockets_of_a_service_manager_are_served_and_it_is_told() {
    let (dir, keys) = keyring();
    let token = token(&keys, examples::HELLO);
    let manager = dir.path().join("notify");
    let notified = UnixDatagram::bind(&manager).expect("a socket");
    notified.set_read_timeout(Some(SOON)).expect("a socket");
    let next = || {
        let mut message = [0; 512];
        let length = notified.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length])
            .trim()
            .to_owned()
    };
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (port, path) = (tcp.local_addr().expect("bound"), dir.path().join("s"));
    let unix = UnixListener::bind(&path).expect("a socket");
    for (socket, is_tcp) in [(OwnedFd::from(tcp), true), (OwnedFd::from(unix), false)] {
        let before = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
        let mut command = through_shell(before, &serve(&keys, &[]));
        command
            .stdin(Stdio::from(socket))
            .env("NOTIFY_SOCKET", &manager)
            .stderr(Stdio::null());
        let mut server = Guard(command.spawn().expect("sh"));
        assert_eq!(next(), "READY=1");
        let answer = match is_tcp {
            true => ask(
                TcpStream::connect(port).expect("it listens"),
                "/run",
                &token,
            ),
            false => ask(
                UnixStream::connect(&path).expect("it listens"),
                "/run",
                &token,
            ),
        };
        assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
        let pid = server.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .expect("kill")
                .success()
        );
        assert_eq!(next(), "STOPPING=1");
        assert!(server.0.wait().expect("a child").success());
        let mut printed = String::new();
        server
            .0
            .stdout
            .take()
            .expect("piped")
            .read_to_string(&mut printed)
            .expect("text");
        assert_eq!(
            printed.lines().count(),
            1,
            "the default address as well: {printed}"
        );
    }
    assert!(path.exists(), "the file is the service manager's");
}

#[test]
fn a_descriptor_that_is_no_socket_is_refused() {
    let (_dir, keys) = keyring();
    let before = "exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$";
    let output = through_shell(before, &serve(&keys, &[]))
        .output()
        .expect("sh");
    let (status, error) = failure(&output);
    assert!(status == 2 && error.contains("LISTEN_FDS"), "{error}");
}

/// Files that change, one after the other as `cp` does it, and SIGHUP.
#[test]
fn a_serving_process_takes_a_new_certificate() {
    let (dir, keys) = keyring();
    let (old, new) = (Authority::new(), Authority::new());
    let [certificate, key] = old.issue("127.0.0.1", dir.path(), "server");
    let token = token(&keys, examples::HELLO);
    let more = [
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        text(&certificate),
        "--tls-key",
        text(&key),
    ];
    let mut child = Guard(
        webtask(&serve(&keys, &more))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the command starts"),
    );
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.split("https://").nth(1).expect("TLS is announced");
    let address = address.parse().expect("an address");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let trusts = |authority: &Authority| {
        runtime.block_on(async {
            match authority.connect(address, &["http/1.1"]).await {
                Ok(stream) => {
                    let reply = webtask_tests::get_through(stream, &token, "/run").await;
                    reply.status == 200
                }
                Err(_) => false,
            }
        })
    };
    assert!(trusts(&old) && !trusts(&new));
    let [certificate_file, key_file] = new.issue("127.0.0.1", dir.path(), "next");
    let hangup = || {
        let pid = child.0.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-HUP", &pid])
                .status()
                .expect("kill")
                .success()
        );
    };
    fs::copy(&certificate_file, &certificate).expect("own file");
    hangup();
    for _ in 0..5 {
        assert!(trusts(&old), "half a pair changes nothing");
    }
    fs::copy(&key_file, &key).expect("own file");
    until("the new pair is not taken", || trusts(&new));
    assert!(!trusts(&old));
}

#[test]
fn a_certificate_without_its_key_is_refused_at_start() {
    let (dir, keys) = keyring();
    let authority = Authority::new();
    let [certificate, _] = authority.issue("127.0.0.1", dir.path(), "one");
    let [_, key] = authority.issue("127.0.0.1", dir.path(), "two");
    let (certificate, key) = (text(&certificate), text(&key));
    let listen = ["--listen", "127.0.0.1:0"];
    for (more, status, word) in [
        (&["--tls-cert", certificate][..], 2, "--tls-key"),
        (
            &["--tls-cert", certificate, "--tls-key", key],
            2,
            "cannot be used together",
        ),
        (&["--tls-cert", key, "--tls-key", key], 2, "no certificate"),
        (&["--tls-cert", "/nowhere", "--tls-key", key], 2, "/nowhere"),
    ] {
        let (exit, error) = failure(&run(&serve(&keys, &[&listen[..], more].concat())));
        assert!(
            exit == status && error.contains(word) && error.contains("hint: "),
            "{error}"
        );
    }
}

/// Two listeners and the operations of one process; a Unix socket goes with it.
#[test]
fn a_process_listens_in_several_places() {
    let (dir, keys) = keyring();
    let token = token(&keys, examples::HELLO);
    let path = dir.path().join("webtask.sock");
    let unix = format!("unix:{}", path.display());
    let more = [
        "--listen",
        &unix,
        "--listen",
        "127.0.0.1:0",
        "--ops",
        "127.0.0.1:0",
    ];
    let mut server = Running::start(&serve(&keys, &more), "operations on");
    let answer = ask(
        TcpStream::connect(address(&server)).expect("it listens"),
        "/readyz",
        "",
    );
    assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let mode = fs::metadata(&path).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let answer = ask(
        UnixStream::connect(&path).expect("it listens"),
        "/run",
        &token,
    );
    assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    let other = dir.path().join("other").display().to_string();
    let second = run(&serve(&keys, &["--listen", &unix, "--revocations", &other]));
    let (status, error) = failure(&second);
    assert!(
        status == 2 && error.contains("another process does"),
        "{error}"
    );
    server.signal("-TERM");
    assert!(server.wait().success() && !path.exists());
}
