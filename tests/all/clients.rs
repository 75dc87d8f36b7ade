//! `docs/clients.md`: its snippets are pasted and run, against a runtime and a stand-in for the payment provider.
//!
//! Swift and Kotlin are not: there is no compiler for either in the suite.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use bytes::Bytes;
use http::Response;
use webtask_tests::{Origin, TestHost, claims_for, examples, now};
use webtask_token::{Secret, SecretClaim};

const ORDER: &str = r#"{"amount":1999,"currency":"eur","card":"tok_visa"}"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The blocks of code that have a name beside their language: ```` ```js browser ````.
fn snippets() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("docs/clients.md")).expect("the document");
    let blocks = text.split("\n```").skip(1).step_by(2);
    let named = blocks.filter_map(|block| {
        let (info, code) = block.split_once('\n')?;
        let (language, name) = info.split_once(' ')?;
        Some((format!("{language} {name}"), code.to_owned()))
    });
    named.collect()
}

/// A snippet with a host and a token in the place of those of the document.
fn filled(name: &str, host: &TestHost, token: &str) -> String {
    let snippet = snippets()
        .remove(name)
        .unwrap_or_else(|| panic!("no {name}"));
    for placeholder in ["https://run.example.com", "wt1.k1.…"] {
        assert!(snippet.contains(placeholder), "{name} has no {placeholder}");
    }
    let address = format!("http://{}", host.address);
    let snippet = snippet.replace("https://run.example.com", &address);
    snippet.replace("wt1.k1.…", token)
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A provider that takes every order, a host that may call it, and a token for both; and one that is over.
async fn charge() -> (Origin, TestHost, String, String) {
    let provider = Origin::start(|_| {
        let charge = r#"{"id":"ch_1","amount":1999,"status":"succeeded"}"#;
        Response::new(Bytes::from_static(charge.as_bytes()))
    })
    .await;
    let host = TestHost::builder().loopback().start().await;
    let mut claims = claims_for(examples::CHARGE);
    let charges = format!("POST {}", provider.url("/v1/charges"));
    let slot = format!("{charges} authorization: Bearer {{}}");
    let key = SecretClaim {
        value: Secret::new("sk_test_51H8xvU2eZvKYlo2C".to_owned()),
        slots: vec![slot.parse().expect("a slot")],
    };
    claims.secrets.insert("api-key".to_owned(), key);
    claims.params.insert("api".to_owned(), provider.url(""));
    claims.out = vec![charges.parse().expect("a grant")];
    let token = host.seal(&claims);
    (claims.iat, claims.exp) = (now() - 20, now() - 10);
    let over = host.seal(&claims);
    (provider, host, token, over)
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no {program}");
    }
    found
}

/// Runs a program that prints the charge, or what went wrong, with a good token and with one that is over.
async fn both(name: &str, run: impl Fn(&str) -> Output) {
    let (provider, host, token, over) = charge().await;
    let good = run(&filled(name, &host, &token));
    let text = stdout(&good);
    assert!(text.contains("ch_1"), "{name}: {good:?}");
    let seen = provider.seen();
    assert!(
        seen[0].headers["authorization"]
            .as_bytes()
            .starts_with(b"Bearer sk_")
    );
    let bad = run(&filled(name, &host, &over));
    let text = stdout(&bad) + &String::from_utf8_lossy(&bad.stderr);
    assert!(text.contains("token-expired"), "{name}: {bad:?}");
    assert_eq!(provider.seen().len(), seen.len());
    for output in [good, bad] {
        let text = stdout(&output) + &String::from_utf8_lossy(&output.stderr);
        assert!(
            !text.contains(&token) && !text.contains(&over),
            "{name}: {text}"
        );
    }
}

fn node(script: &str) -> Output {
    let run = format!(
        "{script}\ncharge({ORDER}).then((charge) => console.log(JSON.stringify(charge)), (error) => console.log(error.message));"
    );
    let mut node = Command::new("node");
    node.args(["--input-type=module", "-e", &run]);
    node.output().expect("node starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_snippet_runs() {
    if has("node") {
        // The same `fetch`, without the preflight.
        both("js browser", node).await;
    }
    let Some(browser) = ["chromium", "chromium-browser"]
        .into_iter()
        .find(|name| has(name))
    else {
        return;
    };
    let (_provider, host, token, over) = charge().await;
    for (token, expected) in [(token, "ch_1"), (over, "token-expired")] {
        let snippet = filled("js browser", &host, &token);
        let page = format!(
            "<!doctype html><title>waits</title><script type=module>\n{snippet}\ncharge({ORDER}).then((charge) => JSON.stringify(charge), (error) => error.message).then((text) => {{ document.title = text; }});\n</script>"
        );
        let site = Origin::start(move |_| {
            let response = Response::builder().header("content-type", "text/html; charset=utf-8");
            response.body(Bytes::from(page.clone())).expect("a page")
        })
        .await;
        // Of another origin than the runtime, so the browser asks before. Loopback counts as secure.
        let profile = tempfile::tempdir().expect("a directory");
        let output = Command::new(browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--virtual-time-budget=20000",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(site.url("/"))
            .output()
            .expect("the browser starts");
        let text = stdout(&output);
        let title = text.split("</title>").next().unwrap_or_default();
        assert!(title.contains(expected), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_snippet_runs() {
    if has("node") {
        let client = root().join("guest-sdk/js/webtask.js").canonicalize();
        let client = client.expect("the client").display().to_string();
        both("js node", |snippet| {
            node(&snippet.replace("\"webtask\"", &format!("{client:?}")))
        })
        .await;
    }
}

fn shell(script: &str) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script]);
    shell.current_dir(dir.path()).output().expect("bash starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curls_snippet_runs() {
    if has("curl") {
        both("sh curl", shell).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhooks_snippet_runs() {
    if !has("curl") || Command::new("openssl").arg("version").output().is_err() {
        return;
    }
    let host = TestHost::start().await;
    let mut claims = claims_for(examples::WEBHOOK);
    let secret = SecretClaim {
        value: Secret::new("It's a Secret to Everybody".to_owned()),
        slots: Vec::new(),
    };
    claims.secrets.insert("webhook-secret".to_owned(), secret);
    claims.via.push(webtask_token::Carrier::Path);
    let answer = shell(&filled("sh webhook", &host, &host.seal(&claims)));
    let answer: serde_json::Value = serde_json::from_str(&stdout(&answer)).expect("JSON");
    assert_eq!(answer["did"], "would greet who opened it");
    // Only a token that says so may stand in a URL.
    claims.via.clear();
    let refused = shell(&filled("sh webhook", &host, &host.seal(&claims)));
    assert!(!refused.status.success(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agents_snippet_runs() {
    if !has("python3") {
        return;
    }
    let mut all = snippets();
    let tool: serde_json::Value =
        serde_json::from_str(&all.remove("json tool").expect("a tool")).expect("JSON");
    let order: serde_json::Value = serde_json::from_str(ORDER).expect("JSON");
    for name in order.as_object().expect("an object").keys() {
        assert!(
            tool["input_schema"]["properties"].get(name).is_some(),
            "{name}"
        );
    }
    both("python tool", |snippet| {
        let run =
            format!("{snippet}\nprint(json.dumps(call_tool('toolu_01', json.loads('{ORDER}'))))\n");
        let mut python = Command::new("python3");
        python.args(["-c", &run]).output().expect("python starts")
    })
    .await;
}
