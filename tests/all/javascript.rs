//! The JavaScript client and the second opener of tokens, under Node's own test runner.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use webtask_tests::{TestHost, guests, now};

/// Every vector of the token format, opened by code that shares none with the crate; and the client's
/// `attenuate`, byte for byte.
#[test]
fn the_second_implementation_agrees_on_every_vector() {
    let Some(root) = root() else { return };
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

/// A token narrowed by the JavaScript client runs, and fails outside each of its bounds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_narrowed_in_javascript_is_accepted_and_bounded() {
    let Some(root) = root() else { return };
    let script = format!(
        "import {{ attenuate }} from {:?};
         console.log(await attenuate(process.argv[1], JSON.parse(process.argv[2])));",
        root.join("guest-sdk/js/webtask.js")
            .canonicalize()
            .expect("the client is there")
    );
    let narrow = |token: &str, caveat: serde_json::Value| {
        let output = Command::new("node")
            .args([
                "--input-type=module",
                "-e",
                &script,
                token,
                &caveat.to_string(),
            ])
            .output()
            .expect("node starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    };
    let host = TestHost::start().await;
    let token = host.token(guests::REFLECT);
    let caveat = serde_json::json!({
        "methods": ["GET"], "path": "/shop/*", "origins": ["https://shop.example"],
        "exp": now() + 600, "params": { "user": "42" },
    });
    let narrowed = narrow(&token, caveat);
    for (method, path, origin, code) in [
        ("GET", "/shop/cart", "https://shop.example", None),
        (
            "POST",
            "/shop/cart",
            "https://shop.example",
            Some("method-denied"),
        ),
        ("GET", "/admin", "https://shop.example", Some("path-denied")),
        (
            "GET",
            "/shop/cart",
            "https://evil.example",
            Some("origin-denied"),
        ),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/run{path}"))
            .header("webtask-token", &narrowed)
            .header("origin", origin);
        let reply = host
            .send(request.body(Empty::<Bytes>::new()).expect("a request"))
            .await;
        match code {
            Some(code) => assert_eq!(reply.code(), code),
            None => assert!(reply.text().contains("\"user\":\"42\""), "{reply:?}"),
        }
    }
    let over = narrow(&token, serde_json::json!({ "exp": now() - 1 }));
    assert_eq!(host.get(&over, "").await.code(), "token-expired");
}

/// The root of the repository, if there is a Node.js to run what is in it.
fn root() -> Option<PathBuf> {
    match node() {
        Some(20..) => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")),
        found => {
            println!("skipped: Node.js 20 or later is needed, found {found:?}");
            None
        }
    }
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
