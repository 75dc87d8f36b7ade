//! Follows an example's documentation: runs its own command lines, in a directory of its own, beside a runtime of its own.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};
use webtask_tests::BUILT;

use crate::common::{Running, keyring, text, wait_for};

/// The directory of the examples.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/src/bin")
}

/// The first of the snippets that holds `part`.
pub(super) fn find<'a>(doc: &'a [String], part: &str) -> &'a str {
    let found = doc.iter().find(|snippet| snippet.contains(part));
    found.unwrap_or_else(|| panic!("no {part} in {doc:?}"))
}

/// The snippets of code in the comment that a file begins with, in their order; lines are joined by a space.
fn snippets(source: &str) -> Vec<String> {
    let comment = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines: Vec<_> = comment.map(str::trim).collect();
    let text = lines.join(" ");
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// An example, and where its documentation is followed.
pub(super) struct Place {
    pub(super) doc: Vec<String>,
    dir: tempfile::TempDir,
    server: Running,
    environment: Vec<(String, String)>,
    replaced: Vec<(String, String)>,
}

impl Place {
    /// `replaced` says what stands for what the documentation names, as the URL of a stand-in for that of a service.
    pub(super) fn of(example: &str, wasm: &str, replaced: &[(&str, &str)]) -> Self {
        let (dir, keys) = keyring();
        let log = File::create(dir.path().join("log")).expect("a file");
        let args = [
            &["serve", "--keys", &keys, "--listen", "127.0.0.1:0"][..],
            &["--allow-code", BUILT, "--allow-private", "127.0.0.1"],
        ];
        let server = Running::start_logged(&args.concat(), &[], "listening", log.into());
        let source = fs::read_to_string(sources().join(format!("{example}.rs")));
        let url = format!("https://example.com/{example}.wasm");
        let mut replaced: Vec<_> = replaced
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()))
            .collect();
        replaced.push((url, wasm.to_owned()));
        replaced.push(("http://localhost:8080".to_owned(), server.address.clone()));
        Self {
            doc: snippets(&source.expect("the example")),
            dir,
            server,
            environment: Vec::new(),
            replaced,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(other, _)| other != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn file(&self, name: &str, content: &str) {
        fs::write(self.dir.path().join(name), content).expect("a file");
    }

    /// What the runtime has logged so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("text")
    }

    /// The same, once `text` is in it: what is no warning is written a moment later.
    pub(super) fn logged(&self, text: &str) -> String {
        wait_for(|| Some(self.log()).filter(|log| log.contains(text)))
    }

    /// The output of a snippet, with what it names replaced.
    fn run(&self, snippet: &str) -> String {
        let mut script = snippet.to_owned();
        for (from, to) in &self.replaced {
            script = script.replace(from, to);
        }
        // Which code it is about, only the line itself says.
        while let Some(at) = script.find("--sha256 …") {
            let url = script[..at]
                .rsplit("--url ")
                .next()
                .expect("a URL before its digest");
            let code = fs::read(url.trim()).unwrap_or_else(|error| panic!("{url}: {error}"));
            let digest: String = Sha256::digest(code)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            script = script.replacen('…', &digest, 1);
        }
        let command = Path::new(env!("CARGO_BIN_EXE_webtask"));
        let path = std::env::var("PATH").unwrap_or_default();
        let directory = command.parent().expect("a directory");
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(self.dir.path())
            .env("PATH", format!("{}:{path}", text(directory)))
            .env_remove("WEBTASK_KEYS")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("bash starts");
        assert!(
            output.status.success(),
            "{script}\n{output:?}\n{}",
            self.log()
        );
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs the snippet `NAME=…` and keeps the value.
    pub(super) fn assign(&mut self, name: &str) {
        let start = format!("{name}=");
        let mut snippets = self
            .doc
            .iter()
            .filter(|snippet| snippet.starts_with(&start));
        let snippet = snippets.next().unwrap_or_else(|| panic!("no {start}"));
        let value = self.run(&format!("{snippet}\nprintf %s \"${name}\""));
        assert!(!value.is_empty(), "{snippet}");
        self.set(name, &value);
    }

    /// The token that the documentation's own command line makes.
    pub(super) fn token(&self) -> String {
        self.token_with(&[])
    }

    /// The same with a change of the line.
    pub(super) fn token_with(&self, changes: &[(&str, &str)]) -> String {
        let line = change(find(&self.doc, "webtask token create"), changes);
        let token = self.run(&line).trim().to_owned();
        assert!(token.starts_with("wt1."), "{token}");
        token
    }

    /// The status and body of the answer to the documentation's `Call` line, with changes.
    pub(super) fn call(&self, token: &str, changes: &[(&str, &str)]) -> (u16, String) {
        let line = format!("TOKEN={token}; {}", find(&self.doc, "curl"));
        self.shell(&line, changes)
    }

    /// The status and body of a line with `curl`.
    pub(super) fn shell(&self, line: &str, changes: &[(&str, &str)]) -> (u16, String) {
        let line = change(line, changes);
        let line = line.replacen("curl ", "curl -sS -w '\\n%{http_code}' ", 1);
        let output = self.run(&line);
        let (body, status) = output.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), body.to_owned())
    }
}

fn change(line: &str, changes: &[(&str, &str)]) -> String {
    let mut line = line.to_owned();
    for (from, to) in changes {
        assert!(line.contains(from), "no {from} in {line}");
        line = line.replace(from, to);
    }
    line
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {}", self.server.address, self.log());
        }
    }
}
