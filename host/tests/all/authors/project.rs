//! Projects in directories of their own, built from what the registry's cache has.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::common::{stdout, text, webtask};

/// What an outer cargo, or whoever tests, sets for its own builds.
const OUTER: [&str; 8] = [
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CLIPPY_ARGS",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "WEBTASK_LOG",
];

pub(super) fn checkout() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    text(&root.canonicalize().expect("the checkout")).to_owned()
}

pub(super) struct Project {
    directory: tempfile::TempDir,
    name: &'static str,
}

impl Project {
    /// As `webtask new` makes it. Each has a name of its own: of two with one name, the one directory of builds holds
    /// one component.
    pub(super) fn new(name: &'static str, template: &str) -> Self {
        let project = Self {
            directory: tempfile::tempdir().expect("a directory"),
            name,
        };
        let path = project.path();
        stdout(
            &webtask(&["new", text(&path), "--template", template])
                .output()
                .expect("it starts"),
        );
        project.locked()
    }

    /// A program of no dependencies.
    pub(super) fn bare(name: &'static str, main: &str) -> Self {
        let project = Self {
            directory: tempfile::tempdir().expect("a directory"),
            name,
        };
        let manifest = format!("[package]\nname = '{name}'\nedition = '2024'\n[workspace]\n");
        project.write("Cargo.toml", &manifest);
        project.write("src/main.rs", main);
        project
    }

    /// The versions that the workspace has: whoever has built its guests has them all.
    fn locked(self) -> Self {
        let lock = Path::new(&checkout()).join("Cargo.lock");
        fs::copy(lock, self.path().join("Cargo.lock")).expect("a copy");
        self
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join(self.name)
    }

    pub(super) fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// The file with one text in the place of another, as an editor saves it: beside its place, then moved there.
    pub(super) fn replace(&self, name: &str, from: &str, to: &str) {
        let path = self.path().join(name);
        let before = fs::read_to_string(&path).expect("a file");
        let beside = self.directory.path().join("saved");
        fs::write(&beside, before.replace(from, to)).expect("a file");
        fs::rename(beside, path).expect("a file");
    }

    /// The command, in the project's folder.
    pub(super) fn webtask(&self, args: &[&str]) -> Command {
        self.prepared(webtask(args))
    }

    pub(super) fn cargo(&self, args: &[&str]) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(args).stdin(Stdio::null());
        self.prepared(command)
    }

    /// All projects are built in one directory, so what they share is built once, and kept for the next run.
    pub(super) fn prepared(&self, mut command: Command) -> Command {
        for name in OUTER {
            command.env_remove(name);
        }
        command
            .current_dir(self.path())
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_PROFILE_DEV_DEBUG", "none")
            .env(
                "CARGO_TARGET_DIR",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/authors"),
            );
        command
    }
}

/// One request: the status and the body of its answer. `fields` end with line breaks.
pub(super) fn call(
    address: &str,
    method: &str,
    path: &str,
    fields: &str,
    body: &str,
) -> (u16, String) {
    let address = address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\n{fields}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (status.expect("a status"), plain(head, body))
}

/// A body without the sizes of its chunks.
fn plain(head: &str, body: &str) -> String {
    if !head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        return body.to_owned();
    }
    let mut whole = String::new();
    let mut rest = body;
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a size");
        whole.push_str(&more[..size]);
        rest = more[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    whole
}

/// Whether git did it; not if there is none.
pub(super) fn git(directory: PathBuf, args: &[&str]) -> bool {
    let mut command = Command::new("git");
    let status = command.arg("-C").arg(directory).args(args).status();
    status.is_ok_and(|status| status.success())
}
