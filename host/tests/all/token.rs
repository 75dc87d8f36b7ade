//! `webtask keys` and `webtask token` as their users meet them: the life of keys and of tokens.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    thread::JoinHandle,
};

use serde_json::{Value, json};
use webtask_token::{Keyring, MintRequest};

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

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
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

/// A runtime that answers one request; gives the request's head and body.
fn runtime(
    answer: impl FnOnce(&str, &str) -> (u16, String) + Send + 'static,
) -> (String, JoinHandle<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).expect("a line") > 2 {
            match line.split_once(": ") {
                Some((name, value)) => head += &format!("{}: {value}", name.to_lowercase()),
                None => head += &line.to_lowercase(),
            }
            line.clear();
        }
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |len| len.trim().parse().expect("a number"));
        let mut body = vec![0; len];
        reader.read_exact(&mut body).expect("a body");
        let body = String::from_utf8(body).expect("text");
        let (status, text) = answer(&head, &body);
        let len = text.len();
        write!(
            reader.get_mut(),
            "HTTP/1.1 {status} -\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{text}"
        )
        .expect("an answer");
        (head, body)
    });
    (url, thread)
}

#[test]
fn an_issuer_token_mints_through_the_runtime() {
    let (dir, keys) = keyring();
    let issuer = stdout(&[
        "token",
        "create",
        "--keys",
        &keys,
        "--issue",
        "--tenant",
        "acme",
        "--mint-url",
        "https://code.example.com/acme/*",
        "--mint-life",
        "1d",
        "--mint-param",
        "user",
        "--mint-secret",
        "*",
        "--mint-allow",
        "* https://*.example.com/*",
        "--mint-limit",
        "memory=64MiB",
        "--mint-unpinned",
    ]);
    let file = dir.path().join("issuer.txt");
    fs::write(&file, format!("{issuer}\n")).expect("written");
    let said = inspect(&keys, &issuer);
    assert_eq!(said["claims"]["kind"], "issue");
    assert_eq!(said["claims"]["issue"]["life"], 86_400);
    assert!(stdout(&["token", "inspect", "--keys", &keys, &issuer]).contains("runs nothing"));

    let text_of_keys = fs::read_to_string(&keys).expect("a file");
    let (host, thread) = runtime(move |head, body| {
        let token = head
            .lines()
            .find_map(|line| line.strip_prefix("authorization: Bearer "));
        let ring = Keyring::from_toml(&text_of_keys).expect("a keyring");
        let opened = ring
            .open(token.expect("a bearer"), now())
            .expect("it opens");
        let asked: MintRequest = serde_json::from_str(body).expect("a request");
        let minted = opened.mint(asked, &ring, now()).expect("it is minted");
        (200, serde_json::to_string(&minted).expect("JSON"))
    });
    let secret = format!("s={CANARY}");
    let minted = stdout(&[
        "token",
        "create",
        "--host",
        &host,
        "--issuer",
        text(&file),
        "--url",
        "https://code.example.com/acme/hook.wasm",
        "--unpinned",
        "--param",
        "user=42",
        "--secret",
        &secret,
        "--bind",
        "s=POST https://api.example.com/v1 authorization: Bearer {}",
        "--allow",
        "POST https://api.example.com/v1",
    ]);
    let (head, body) = thread.join().expect("it answered");
    assert!(head.starts_with("post /v1/tokens "), "{head}");
    assert!(
        !body.contains("tenant") && !body.contains("expires"),
        "{body}"
    );
    let said = inspect(&keys, &minted);
    assert_eq!(said["claims"]["tenant"], "acme");
    assert_eq!(said["claims"]["iss"], inspect(&keys, &issuer)["links"]);
    assert_eq!(said["claims"]["lim"], json!({ "memory": 64 << 20 }));

    let (host, thread) = runtime(|_, _| {
        let problem = json!({ "code": "too-wide", "title": "Too wide", "errors": ["url: is none of x"], "request_id": "r1" });
        (403, problem.to_string())
    });
    let (status, stderr) = failure(&[
        "token",
        "create",
        "--host",
        &host,
        "--issuer",
        text(&file),
        "--url",
        "https://evil.test/a",
        "--unpinned",
    ]);
    assert!(
        status == 1 && stderr.contains("url: is none of x"),
        "{stderr}"
    );
    thread.join().expect("it answered");
    for args in [
        vec![
            "token",
            "create",
            "--host",
            "http://h",
            "--url",
            "https://h/a",
            "--unpinned",
        ],
        vec!["token", "create", "--keys", &keys, "--issue"],
        vec!["token", "create", "--keys", &keys],
        vec![
            "token",
            "create",
            "--keys",
            &keys,
            "--issue",
            "--mint-url",
            "https://h/*",
            "--url",
            "https://h/a",
        ],
        vec![
            "token",
            "create",
            "--host",
            "http://h",
            "--issuer",
            "f",
            "--tenant",
            "t",
            "--url",
            "https://h/a",
        ],
    ] {
        assert_eq!(failure(&args).0, 2, "{args:?}");
    }
    let bad = [
        "token",
        "create",
        "--keys",
        &keys,
        "--issue",
        "--mint-url",
        "https://h*",
    ];
    assert_eq!(failure(&bad).0, 1);
}

#[test]
fn a_token_is_revoked_through_the_runtime() {
    let (dir, keys) = keyring();
    let token = create(&keys, &[]);
    let file = dir.path().join("parent.txt");
    fs::write(&file, &token).expect("written");
    let id = "0123456789abcdef0123456789abcdef";
    let child = stdout(&["token", "attenuate", &token, "--note", "a"]);
    for (args, presented, expected) in [
        (vec![token.as_str()], &token, json!({})),
        (
            vec![&child, "--token", text(&file)],
            &token,
            json!({ "token": child }),
        ),
        (
            vec!["--id", id, "--token", text(&file)],
            &token,
            json!({ "id": id }),
        ),
        (
            vec!["--issued-before", "1000", "--token", text(&file)],
            &token,
            json!({ "before": 1000 }),
        ),
    ] {
        let (host, thread) = runtime(move |_, _| (200, json!({ "revoked": id }).to_string()));
        let answer = stdout(&[&["token", "revoke", "--host", &host], args.as_slice()].concat());
        let (head, body) = thread.join().expect("it answered");
        assert!(
            head.contains(&format!("authorization: Bearer {presented}")),
            "{head}"
        );
        assert_eq!(
            serde_json::from_str::<Value>(&body).expect("JSON"),
            expected
        );
        assert_eq!(answer, id);
    }
    for args in [
        vec!["token", "revoke"],
        vec!["token", "revoke", "--id", id],
        vec!["token", "revoke", "--id", "12", "--token", text(&file)],
        vec![
            "token",
            "revoke",
            &token,
            "--id",
            id,
            "--token",
            text(&file),
        ],
        vec!["token", "revoke", &token, "--host", "http://127.0.0.1:1"],
    ] {
        let (status, stderr) = failure(&args);
        assert!(
            status == 2 && !stderr.contains(&token),
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
