//! The commands that ask a runtime: minting and revoking.

use std::fs;

use serde_json::{Value, json};
use webtask_token::{Keyring, MintRequest};

use super::{CANARY, create, failure, inspect, keyring, now, stdout};
use crate::common::{answer, field, once, text};

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
    let (host, thread) = once(move |head, body| {
        let token = field(head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let ring = Keyring::from_toml(&text_of_keys).expect("a keyring");
        let opened = ring
            .open(token.expect("a bearer"), now())
            .expect("it opens");
        let asked: MintRequest = serde_json::from_str(body).expect("a request");
        let minted = opened.mint(asked, &ring, now()).expect("it is minted");
        answer(200, serde_json::to_string(&minted).expect("JSON"))
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
    assert!(head.starts_with("POST /v1/tokens "), "{head}");
    assert!(
        !body.contains("tenant") && !body.contains("expires"),
        "{body}"
    );
    let said = inspect(&keys, &minted);
    assert_eq!(said["claims"]["tenant"], "acme");
    assert_eq!(said["claims"]["iss"], inspect(&keys, &issuer)["links"]);
    assert_eq!(said["claims"]["lim"], json!({ "memory": 64 << 20 }));

    let (host, thread) = once(|_, _| {
        let problem = json!({ "code": "too-wide", "title": "Too wide", "errors": ["url: is none of x"], "request_id": "r1" });
        answer(403, problem.to_string())
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
}

#[test]
fn what_a_command_line_of_minting_lacks_is_told() {
    let (_dir, keys) = keyring();
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
        let (host, thread) = once(move |_, _| answer(200, json!({ "revoked": id }).to_string()));
        let told = stdout(&[&["token", "revoke", "--host", &host], args.as_slice()].concat());
        let (head, body) = thread.join().expect("it answered");
        let bearer = format!("Bearer {presented}");
        assert_eq!(field(&head, "authorization"), Some(&*bearer), "{head}");
        assert_eq!(
            serde_json::from_str::<Value>(&body).expect("JSON"),
            expected
        );
        assert_eq!(told, id);
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
