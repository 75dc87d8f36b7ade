//! A command in a terminal of its own: what it prints, what is typed, how it ends.

use std::{
    io::{Read, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

/// For what takes a build, on a machine that does much else.
pub(super) const SOON: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Screen {
    text: Mutex<String>,
    more: Condvar,
}

pub(super) struct Terminal {
    child: Child,
    typed: Option<ChildStdin>,
    screen: Arc<Screen>,
    /// Whether there is a terminal: `script` of util-linux makes one. Without it there are pipes.
    real: bool,
}

impl Terminal {
    /// Runs `command`, whose arguments are no text for a shell.
    pub(super) fn run(command: &Command) -> Self {
        let script = Command::new("script").arg("--version").output();
        let real = script
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("util-linux"));
        let program = command.get_program().to_str().expect("text");
        let args: Vec<_> = command
            .get_args()
            .map(|arg| arg.to_str().expect("text"))
            .collect();
        let mut run = if real {
            let mut script = Command::new("script");
            let line = format!("exec {program} {}", args.join(" "));
            script.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]);
            script
        } else {
            eprintln!("there is no `script` here: pipes in the place of a terminal");
            let mut plain = Command::new(program);
            plain.args(args);
            plain
        };
        if let Some(directory) = command.get_current_dir() {
            run.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => run.env(name, value),
                None => run.env_remove(name),
            };
        }
        run.env("SHELL", "/bin/sh").env("TERM", "xterm");
        run.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = run.spawn().expect("it starts");
        let screen = Arc::new(Screen::default());
        read(child.stdout.take().expect("piped"), screen.clone());
        read(child.stderr.take().expect("piped"), screen.clone());
        Self {
            typed: child.stdin.take(),
            child,
            screen,
            real,
        }
    }

    pub(super) fn is_real(&self) -> bool {
        self.real
    }

    /// All that was printed, without colours.
    pub(super) fn text(&self) -> String {
        without_colours(&self.screen.text.lock().expect("a screen"))
    }

    pub(super) fn raw(&self) -> String {
        self.screen.text.lock().expect("a screen").clone()
    }

    /// Waits until what is printed after the first `from` letters holds `part`; gives where that
    /// line ends, and the line.
    pub(super) fn sees(&self, part: &str, from: usize) -> (usize, String) {
        let until = Instant::now() + SOON;
        let mut text = self.screen.text.lock().expect("a screen");
        loop {
            let plain = without_colours(&text);
            let mut end = from;
            let new = plain.get(from..).unwrap_or_default();
            for line in new.split_inclusive('\n') {
                end += line.len();
                // A whole line: what follows the part may not be there yet.
                if line.contains(part) && line.ends_with('\n') {
                    return (end, line.trim().to_owned());
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {part:?} after {from}: {plain}");
            text = self
                .screen
                .more
                .wait_timeout(text, left)
                .expect("a screen")
                .0;
        }
    }

    /// Types Ctrl-C, and waits for the end: its exit status.
    pub(super) fn interrupt(mut self) -> Option<i32> {
        if self.real {
            let typed = self.typed.as_mut().expect("stdin");
            typed
                .write_all(b"\x03")
                .and_then(|()| typed.flush())
                .expect("typed");
        } else {
            self.signal("-INT");
        }
        let until = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(Instant::now() < until, "it does not end: {}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // A hangup of the terminal ends what runs in it.
            let _ = Command::new("kill")
                .args(["-TERM", &self.child.id().to_string()])
                .status();
            let _ = self.child.wait();
        }
    }
}

fn read(mut from: impl Read + Send + 'static, screen: Arc<Screen>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..read]).replace('\r', "");
            screen.text.lock().expect("a screen").push_str(&text);
            screen.more.notify_all();
        }
    });
}

fn without_colours(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        let end = piece
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(piece.len(), |at| at + 1);
        text + &piece[end..]
    })
}
