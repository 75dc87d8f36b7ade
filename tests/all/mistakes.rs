//! The mistakes of authors: for each the log says what it was, where, and what to change, as its author reads it at
//! `GET /v1/logs`. The caller learns a code.

use std::{path::Path, time::Duration};

use sha2::{Digest as _, Sha256};
use webtask_tests::{Event, Origin, TestHost, claims_for, core::written, debug, guests, p3};
use webtask_token::{Claims, Secret, SecretClaim};

/// The component with debug information, on a host where mistakes do not take long.
async fn host() -> TestHost {
    TestHost::builder()
        .loopback()
        .limits(|limits| {
            limits.cpu = Duration::from_millis(300);
        })
        .start()
        .await
}

/// What the author reads of one request, and that its end has this code.
async fn told(host: &TestHost, claims: &Claims, path: &str, code: &str) -> Vec<String> {
    let token = host.seal(claims);
    let reply = host.get(&token, path).await;
    let events = host.told(&token, reply.request_id()).await;
    let ended = events.last().expect("an end");
    assert_eq!(ended.data["code"], code, "{events:#?}");
    if code != "ok" {
        assert_eq!(reply.code(), code);
        // The least that a caller learns of the inside is nothing.
        assert!(reply.body.len() < 300, "{}", reply.text());
    }
    let level = if code == "ok" { "info" } else { "error" };
    if code != "secret-missing" {
        assert_eq!(ended.data["level"], level, "{ended:?}");
    }
    let lines = events.iter().filter(|event| event.name == "log");
    lines.map(|event| event.message().to_owned()).collect()
}

/// A line that has all of these, in this order.
fn has(lines: &[String], parts: &[&str]) {
    let holds = |line: &String| {
        let mut rest = line.as_str();
        parts.iter().all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    };
    assert!(lines.iter().any(holds), "{parts:?} in {lines:#?}");
}

/// The same where a backtrace has to have source lines: one table is read at a time in this process, and another test
/// may be reading.
async fn told_with_lines(host: &TestHost, path: &str, code: &str, parts: &[&str]) -> Vec<String> {
    let claims = claims_for(debug::MISTAKES);
    for _ in 0..50 {
        let lines = told(host, &claims, path, code).await;
        let backtrace = lines.iter().find(|line| line.starts_with("backtrace: "));
        // A run that gets no turn in its last moments has none.
        if backtrace.is_some_and(|backtrace| backtrace.contains(".rs:")) {
            has(&lines, &[&["backtrace: "], parts].concat());
            return lines;
        }
    }
    panic!("no source lines");
}

/// Where a function of the guest begins, as its source says.
fn line_of(text: &str) -> usize {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests/src/bin/mistakes.rs");
    let source = std::fs::read_to_string(source).expect("the source");
    let place = source.lines().position(|line| line.contains(text));
    place.expect("the text is there") + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_says_what_and_where() {
    let host = host().await;
    let called = format!("mistakes.rs:{}:", line_of("=> first_item("));
    let lines = told_with_lines(&host, "/panic", "guest-trap", &["first_item (", &called]).await;
    // Without the ten frames of the language before.
    has(&lines, &["in its own code: ", &called]);
    // What Rust says of it comes first, on stderr.
    let place = format!("mistakes.rs:{}:", line_of("the order has no items"));
    has(&lines, &["panicked at ", &place]);
    has(&lines, &["the order has no items"]);
    has(&lines, &["the webtask failed: the guest trapped: "]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_says_where() {
    let host = host().await;
    // Functions that are the same to the byte are one, and have the name of one of them.
    let called = format!("mistakes.rs:{}:", line_of("=> give_up("));
    let lines = told_with_lines(&host, "/abort", "guest-trap", &["abort", &called]).await;
    has(&lines, &["the webtask failed: ", "unreachable"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_debug_information_the_log_says_how_to_have_it() {
    let host = host().await;
    let claims = claims_for(guests::MISTAKES);
    let lines = told(&host, &claims, "/panic", "guest-trap").await;
    has(
        &lines,
        &["backtrace: ", "debug = \"line-tables-only\"", "strip"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_without_an_end_says_where_it_is() {
    let host = host().await;
    let lines = told_with_lines(&host, "/loop", "guest-cpu", &["count_up", "mistakes.rs:"]).await;
    has(
        &lines,
        &[
            "the webtask was ended: ",
            "300ms",
            "limit cpu",
            "a loop without an end",
            "--limit cpu=",
        ],
    );
    // Also where the wall-clock time is what ends it.
    let hasty = TestHost::builder()
        .limits(|limits| limits.wall = Duration::from_millis(300))
        .start()
        .await;
    let lines = told_with_lines(
        &hasty,
        "/loop",
        "guest-deadline",
        &["count_up", "mistakes.rs:"],
    )
    .await;
    has(
        &lines,
        &[
            "the webtask was ended: ",
            "300ms",
            "limit wall",
            "--limit wall=",
        ],
    );
}

/// The same of WASI 0.3, whose tasks fail another way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_of_a_task_says_where_it_is() {
    let host = host().await;
    let lines = told(
        &host,
        &claims_for(p3::guests::MISTAKES),
        "/loop",
        "guest-cpu",
    )
    .await;
    has(&lines, &["the webtask was ended: ", "limit cpu"]);
    has(&lines, &["backtrace: ", "(+0x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_without_an_end_says_what_to_do() {
    let host = TestHost::builder()
        .limits(|limits| limits.wall = Duration::from_millis(300))
        .start()
        .await;
    let lines = told(
        &host,
        &claims_for(debug::MISTAKES),
        "/wait",
        "guest-deadline",
    )
    .await;
    has(
        &lines,
        &[
            "the webtask was ended: ",
            "limit wall",
            "wait for something",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_memory_says_where_and_which_limit() {
    let host = TestHost::builder()
        .limits(|limits| limits.memory = 8 << 20)
        .start()
        .await;
    let lines = told_with_lines(
        &host,
        "/memory",
        "guest-memory",
        &["gather", "mistakes.rs:"],
    )
    .await;
    has(&lines, &["memory allocation of 1048576 bytes failed"]);
    has(
        &lines,
        &["the webtask failed: ", "limit memory", "--limit memory="],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recursion_without_an_end_says_where_it_is() {
    let host = host().await;
    let place = "mistakes.rs:";
    told_with_lines(
        &host,
        "/deep",
        "guest-trap",
        &["descend (", place, "descend (", place],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_not_there_or_is_bound_says_which_flag() {
    let host = host().await;
    let mut claims = claims_for(debug::MISTAKES);
    let lines = told(&host, &claims, "/secret", "ok").await;
    has(
        &lines,
        &["no secret \"stripe-key\"", "--secret stripe-key=VALUE"],
    );
    let slot = "POST https://api.stripe.com/v1/charges authorization: Bearer {}";
    let bound = SecretClaim {
        value: Secret::new("sk_live_1234567890".to_owned()),
        slots: vec![slot.parse().expect("a slot")],
    };
    claims.secrets.insert("stripe-key".into(), bound);
    let lines = told(&host, &claims, "/secret", "ok").await;
    has(
        &lines,
        &[
            "secret \"stripe-key\" is bound",
            "the runtime writes it",
            "without --bind stripe-key=",
        ],
    );
    // A component that says what it needs is not run without it.
    let lines = told(&host, &claims_for(guests::NEEDS), "/", "secret-missing").await;
    has(
        &lines,
        &[
            "secret-missing: ",
            "other.key",
            "stripe-key",
            "--secret-file",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_granted_says_which_flag() {
    let host = host().await;
    let claims = claims_for(debug::MISTAKES);
    let url = "https://api.example.com/v1/orders";
    let lines = told(&host, &claims, &format!("/call?url={url}"), "ok").await;
    has(
        &lines,
        &["reason=no-grant", &format!("--allow 'GET {url}'")],
    );
    // A grant of an address that nobody opened, and one of a server that is down.
    let mut claims = claims_for(debug::MISTAKES);
    claims.out = vec!["* http://10.0.0.1/*".parse().expect("a grant")];
    let lines = told(&host, &claims, "/call?url=http://10.0.0.1/x", "ok").await;
    has(
        &lines,
        &["reason=private-address", "--allow-private 10.0.0.1"],
    );
    let gone = Origin::start(|_| http::Response::default()).await.url("/");
    claims.out = vec![format!("* {gone}*").parse().expect("a grant")];
    let lines = told(&host, &claims, &format!("/call?url={gone}"), "ok").await;
    has(&lines, &["reason=connect-failed"]);
}

/// A program for the command line, as `fn main` without the SDK makes one.
const PROGRAM: &str = r#"(component
  (core module $m (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.12" (instance $exported)))"#;

fn claims_of(path: &Path) -> Claims {
    let mut claims = claims_for(path.to_str().expect("text"));
    let code = std::fs::read(path).expect("it is written");
    claims.sha256 = Some(Sha256::digest(code).into());
    claims
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_is_no_webtask_says_what_it_should_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let host = TestHost::builder()
        .code(dir.path().to_str().expect("text"))
        .start()
        .await;
    let program = wat::parse_str(PROGRAM).expect("valid text");
    let program = claims_of(&written(dir.path(), "program.wasm", &program));
    let program = told(&host, &program, "/", "component-invalid").await;
    has(
        &program,
        &[
            "component-invalid: ",
            "wasi:http/incoming-handler@0.2",
            "#[webtask::main]",
        ],
    );
    let module = written(dir.path(), "module.wasm", b"\0asm\x01\0\0\0");
    let lines = told(&host, &claims_of(&module), "/", "component-invalid").await;
    has(
        &lines,
        &["core WebAssembly module", "--target wasm32-wasip2"],
    );
    let text = written(dir.path(), "text.wasm", b"#!/bin/sh\n");
    let lines = told(&host, &claims_of(&text), "/", "component-invalid").await;
    has(&lines, &["it is not WebAssembly"]);
    // Built again, and the token is of the old one.
    let text = written(dir.path(), "other.wasm", b"before");
    let claims = claims_of(&text);
    written(dir.path(), "other.wasm", b"after");
    let lines = told(&host, &claims, "/", "component-digest").await;
    has(
        &lines,
        &[
            "component-digest: ",
            "SHA-256",
            "mint a token for the new code",
        ],
    );
    let gone = written(dir.path(), "gone.wasm", b"gone");
    let claims = claims_of(&gone);
    std::fs::remove_file(&gone).expect("it is there");
    let lines = told(&host, &claims, "/", "component-fetch").await;
    has(&lines, &["component-fetch: ", "gone.wasm", "no such file"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_goes_well_is_one_line_and_what_it_said() {
    let host = host().await;
    let token = host.seal(&claims_for(debug::MISTAKES));
    let reply = host.get(&token, "/").await;
    let events = host.told(&token, reply.request_id()).await;
    let names: Vec<&str> = events
        .iter()
        .map(|event: &Event| event.name.as_str())
        .collect();
    assert_eq!(names, ["log", "invocation"], "{events:#?}");
}
