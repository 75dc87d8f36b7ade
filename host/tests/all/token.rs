//! `webtask keys` and `webtask token` as their users meet them: the life of keys and of tokens.

mod runtime;

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::{Value, json};
use webtask_token::Keyring;

use crate::common::{self, run, text};

const CANARY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

fn stdout(args: &[&str]) -> String {
    common::stdout(&run(args))
}

/// The exit status and stderr of a command that must fail.
fn failure(args: &[&str]) -> (i32, String) {
    let (status, stderr) = common::failure(&run(args));
    assert!(!stderr.contains(CANARY), "{stderr}");
    (status, stderr)
}

/// A directory with a keyring whose key is `first`.
fn keyring() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = text(&dir.path().join("keys.toml")).to_owned();
    stdout(&["keys", "generate", "--keys", &keys, "--kid", "first"]);
    (dir, keys)
}

fn create(keys: &str, more: &[&str]) -> String {
    let url = "https://code.example.com/a.wasm";
    let fixed = [
        "token",
        "create",
        "--keys",
        keys,
        "--url",
        url,
        "--unpinned",
    ];
    stdout(&[fixed.as_slice(), more].concat())
}

fn inspect(keys: &str, token: &str) -> Value {
    let json = stdout(&["token", "inspect", "--keys", keys, "--json", token]);
    serde_json::from_str(&json).expect("JSON")
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

#[test]
fn keys_rotate_and_retire() {
    let (_dir, keys) = keyring();
    let secret = format!("s={CANARY}");
    let old = create(&keys, &["--secret", &secret]);
    assert_eq!(
        stdout(&["keys", "rotate", "--keys", &keys, "--kid", "second"]),
        "second"
    );
    let mode = fs::metadata(&keys).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let new = create(&keys, &[]);
    assert!(new.starts_with("wt1.second."));
    assert_eq!(inspect(&keys, &old)["status"], "valid");

    // The same claims under the new key, and no secret on the way.
    let resealed = run(&["token", "reseal", "--keys", &keys, &old]);
    assert!(resealed.status.success(), "{resealed:?}");
    assert!(!format!("{resealed:?}").contains(CANARY));
    let resealed = String::from_utf8(resealed.stdout).expect("text");
    let resealed = resealed.trim();
    assert_eq!(
        inspect(&keys, &old)["claims"],
        inspect(&keys, resealed)["claims"]
    );
    assert_ne!(inspect(&keys, &old)["id"], inspect(&keys, resealed)["id"]);
    let ring = Keyring::from_toml(&fs::read_to_string(&keys).expect("a file")).expect("a keyring");
    let opened = ring.open(resealed, now()).expect("it opens");
    assert_eq!(opened.claims.secrets["s"].value.expose(), CANARY);

    let (status, stderr) = failure(&["keys", "retire", "--keys", &keys, "second"]);
    assert!(status == 1 && stderr.contains("keys rotate"), "{stderr}");
    let (status, _) = failure(&["keys", "retire", "--keys", &keys, "third"]);
    assert_eq!(status, 1);
    let (status, stderr) = failure(&["keys", "rotate", "--keys", &keys, "--kid", "first"]);
    assert!(status == 1 && stderr.contains("unchanged"), "{stderr}");
    stdout(&["keys", "retire", "--keys", &keys, "first"]);
    let (status, _) = failure(&["token", "inspect", "--keys", &keys, &old]);
    assert_eq!(status, 1);
    assert_eq!(inspect(&keys, resealed)["status"], "valid");
}

#[test]
fn a_token_is_narrowed_offline() {
    let (_dir, keys) = keyring();
    let token = create(
        &keys,
        &["--param", "plan=free", "--allow", "* https://h.test/*"],
    );
    let narrowed = stdout(&[
        "token",
        "attenuate",
        &token,
        "--method",
        "post",
        "--method",
        "GET",
        "--path",
        "/orders/*",
        "--origin",
        "https://App.example.com/",
        "--expires",
        "10m",
        "--not-before",
        "1000",
        "--param",
        "user=42",
        "--limit",
        "wall=1s",
        "--limit",
        "rate=6",
        "--allow",
        "GET https://h.test/v1/*",
        "--note",
        "login of Ada",
    ]);
    let said = inspect(&keys, &narrowed);
    let caveat = &said["caveats"][0];
    assert_eq!(caveat["methods"], json!(["GET", "POST"]));
    assert_eq!(caveat["origins"], json!(["https://app.example.com"]));
    assert_eq!(caveat["lim"], json!({ "wall": 1000, "rate": 6 }));
    assert_eq!(caveat["out"], json!(["GET https://h.test/v1/*"]));
    assert_eq!(said["links"].as_array().expect("links").len(), 2);
    // In words, and without a key.
    let words = stdout(&["token", "inspect", &narrowed]);
    for part in [
        "1: only GET, POST",
        "1: only path /orders/*",
        "1: only from pages of https://app.example.com",
        "1: with param user=42",
        "1: limit wall=1000ms",
        "1: outbound only GET https://h.test/v1/*",
        "1: note: login of Ada",
    ] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    let again = stdout(&["token", "attenuate", &narrowed, "--no-outbound"]);
    assert!(stdout(&["token", "inspect", &again]).contains("2: no outbound requests"));

    let (status, stderr) = failure(&["token", "attenuate", &narrowed, "--param", "user=43"]);
    assert!(status == 1 && stderr.contains("fixed already"), "{stderr}");
    // A parameter of the claims is not seen here; the token is of no use, and inspect says so.
    let changed = stdout(&["token", "attenuate", &token, "--param", "plan=paid"]);
    let (status, stderr) = failure(&["token", "inspect", "--keys", &keys, &changed]);
    assert!(
        status == 1 && stderr.contains("changes a parameter"),
        "{stderr}"
    );
    for (args, status) in [
        (vec!["token", "attenuate", &token], 2),
        (vec!["token", "attenuate", &token, "--path", "orders"], 1),
        (vec!["token", "attenuate", &token, "--origin", "null"], 2),
        (
            vec!["token", "attenuate", &token, "--origin", "https://*.h.test"],
            1,
        ),
        (vec!["token", "attenuate", "wt1.half", "--method", "GET"], 1),
        (vec!["token", "reseal", "--keys", &keys, &narrowed], 1),
    ] {
        let (found, stderr) = failure(&args);
        assert!(
            found == status && !stderr.contains(&token),
            "{args:?}: {stderr}"
        );
    }
}

/// A value that responses are not searched for is worth a warning; one that only the code reads is not.
#[test]
fn a_short_bound_secret_is_warned_of() {
    let (_dir, keys) = keyring();
    let bind = "pin=POST https://api.example.com/v1 x-pin: {}";
    for (pin, more, warned) in [
        ("pin=12345", vec!["--bind", bind], true),
        ("pin=123456", vec!["--bind", bind], false),
        ("pin=12345", vec![], false),
    ] {
        let fixed = ["token", "create", "--keys", &keys, "--url"];
        let code = ["https://code.example.com/a.wasm", "--unpinned"];
        let line = [&fixed[..], &code, &["--secret", pin], &more].concat();
        let stderr = run(&line).stderr;
        let stderr = String::from_utf8_lossy(&stderr);
        assert_eq!(
            stderr.contains("warning: pin is so short"),
            warned,
            "{stderr}"
        );
        assert!(!stderr.contains("12345"), "{stderr}");
    }
}
