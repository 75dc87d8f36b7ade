//! The JavaScript client and the second opener of tokens, under Node's own test runner.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Every vector of the token format, opened by code that shares none with the crate; and the client's
/// `attenuate`, byte for byte.
#[test]
fn the_second_implementation_agrees_on_every_vector() {
    let Some(major) = node() else {
        println!("skipped: no Node.js on this machine");
        return;
    };
    if major < 20 {
        println!("skipped: Node.js {major} is older than 20");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root.join("tests/js"))
        .expect("the tests are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let output = Command::new("node")
        .arg("--test")
        .args(&files)
        .current_dir(&root)
        .output()
        .expect("node starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let passed = text
        .lines()
        .find_map(|line| line.split_once("pass ")?.1.trim().parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 200), "{text}");
}

/// The major version of Node.js, if there is one.
fn node() -> Option<u32> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    version
        .trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}
