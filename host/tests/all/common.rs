//! Commands to run, and what they must have printed.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use webtask_tests::SOON;

pub(crate) fn webtask(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webtask"));
    command
        .args(args)
        .env_remove("WEBTASK_KEYS")
        .env_remove("WEBTASK_HOST")
        .env_remove("WEBTASK_TOKEN")
        .env_remove("WEBTASK_LOG")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    webtask(args).output().expect("the command starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone())
        .expect("text")
        .trim()
        .to_owned()
}

/// The exit status and stderr of a command that must fail, without a backtrace.
pub(crate) fn failure(output: &Output) -> (i32, String) {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{output:?}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("stack backtrace"),
        "{stderr}"
    );
    (output.status.code().expect("an exit status"), stderr)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path is text")
}

/// A directory with a keyring.
pub(crate) fn keyring() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = text(&dir.path().join("keys.toml")).to_owned();
    stdout(&run(&["keys", "generate", "--keys", &keys]));
    (dir, keys)
}

/// A running command that has printed its first line of address; killed when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) lines: BufReader<std::process::ChildStdout>,
}

impl Running {
    pub(crate) fn start(args: &[&str], until: &str) -> Self {
        Self::start_with(args, &[], until)
    }

    /// With more in its environment.
    pub(crate) fn start_with(args: &[&str], environment: &[(&str, &str)], until: &str) -> Self {
        Self::start_logged(args, environment, until, Stdio::null())
    }

    /// With its log somewhere.
    pub(crate) fn start_logged(
        args: &[&str],
        environment: &[(&str, &str)],
        until: &str,
        log: Stdio,
    ) -> Self {
        let mut command = webtask(args);
        command.envs(environment.iter().copied());
        Self::spawn_logged(command, until, log)
    }

    /// Any command that ends in a running one.
    pub(crate) fn spawn(command: Command, until: &str) -> Self {
        Self::spawn_logged(command, until, Stdio::null())
    }

    fn spawn_logged(mut command: Command, until: &str, log: Stdio) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the command starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(
                lines.read_line(&mut line).expect("a line"),
                0,
                "it ended early: {:?}",
                child.wait()
            );
            if line.contains(until) {
                break;
            }
        }
        let address = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .expect("an address")
            .to_owned();
        Self {
            child,
            address,
            lines,
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .expect("kill runs")
                .success()
        );
    }

    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < until, "it does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `look` finds, soon.
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "it never comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An origin for one request, on a thread: its URL without a path, and what it was asked, head and body.
pub(crate) fn once(
    answer: impl FnOnce(&str, &str) -> Vec<u8> + Send + 'static,
) -> (String, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while reader.read_line(&mut head).expect("a line") > 2 {}
        let length = field(&head, "content-length").map_or("0", |length| length);
        let mut body = vec![0; length.parse().expect("a number")];
        reader.read_exact(&mut body).expect("a body");
        let body = String::from_utf8(body).expect("text");
        // Who is content with the beginning may have gone.
        let _ = reader.get_mut().write_all(&answer(&head, &body));
        (head, body)
    });
    (url, thread)
}

/// The value of a field in a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut named = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.trim())
}

/// An answer that is the last one of its connection.
pub(crate) fn answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}
