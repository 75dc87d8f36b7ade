//! The audit of code where a token names it: before the token is made, and after.

use std::{fs, io::Write as _, process::Stdio};

use webtask_tests::{examples, guests};

use super::{create, said};
use crate::common::{answer, failure, keyring, once, run, stdout, webtask};

/// The URL of code, for one request.
fn serve(answer: Vec<u8>) -> String {
    let (url, _) = once(move |_, _| answer);
    format!("{url}/code.wasm")
}

#[test]
fn code_is_fetched_and_compared_with_the_digest_of_its_token() {
    let (_dir, keys) = keyring();
    let wasm = fs::read(examples::HELLO).expect("built");
    assert!(said(&["audit", &serve(answer(200, &wasm))]).contains("wasi:http/incoming-handler"));
    let (status, stderr) = failure(&run(&["audit", &serve(answer(404, ""))]));
    assert!(status == 2 && stderr.contains("404"), "{stderr}");
    let (status, stderr) = failure(&run(&["audit", &serve(answer(200, b"\0asm\x01\0\0\0"))]));
    assert!(
        status == 1 && stderr.contains("core WebAssembly module"),
        "{stderr}"
    );
    let (status, stderr) = failure(&run(&[
        "audit",
        &serve(answer(200, &wasm[..wasm.len() / 2])),
    ]));
    assert!(
        status == 1 && stderr.contains("no valid component"),
        "{stderr}"
    );

    let zeros = "0".repeat(64);
    let other = create(
        &keys,
        &["--url", &serve(answer(200, &wasm)), "--sha256", &zeros],
    );
    let (status, stderr) = failure(&run(&["audit", "--keys", &keys, "--code", &other]));
    assert!(status == 1 && stderr.contains(&zeros), "{stderr}");
    let any = create(&keys, &["--url", &serve(answer(200, &wasm)), "--unpinned"]);
    assert!(said(&["audit", "--keys", &keys, "--code", &any]).contains("not granted:\n  nothing"));
}

#[test]
fn a_token_for_code_that_needs_more_is_made_with_a_warning_and_not_when_strict() {
    let (_dir, keys) = keyring();
    let base = [
        "token",
        "create",
        "--keys",
        &keys,
        "--url",
        examples::CHARGE,
    ];
    let output = run(&base);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stdout(&output).starts_with("wt1."));
    assert!(
        stderr.contains("--allow 'METHODS URL'") && stderr.contains("--secret-env api-key"),
        "{stderr}"
    );
    let strict = [base.as_slice(), &["--strict"]].concat();
    let output = run(&strict);
    let (status, stderr) = failure(&output);
    assert!(
        status == 1 && output.stdout.is_empty() && stderr.contains("no token made"),
        "{stderr}"
    );
    let granted = ["--allow", "GET https://h.test/", "--secret", "api-key=b"];
    let output = run(&[strict.as_slice(), &granted].concat());
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("warning"),
        "{output:?}"
    );
    assert!(stdout(&output).starts_with("wt1."));
    let output = run(&[
        "token",
        "create",
        "--keys",
        &keys,
        "--strict",
        "--url",
        examples::HELLO,
    ]);
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("warning"),
        "{output:?}"
    );
    // Code that is elsewhere is read for --strict, and only then.
    let wasm = fs::read(guests::OUTBOUND).expect("built");
    let url = serve(answer(200, &wasm));
    let there = [
        "token",
        "create",
        "--keys",
        &keys,
        "--unpinned",
        "--url",
        &url,
    ];
    assert!(stdout(&run(&there)).starts_with("wt1."));
    let (status, stderr) = failure(&run(&[there.as_slice(), &["--strict"]].concat()));
    assert!(status == 1 && stderr.contains("outbound HTTP"), "{stderr}");
}

#[test]
fn a_token_comes_from_stdin_as_elsewhere() {
    let (_dir, keys) = keyring();
    let token = create(&keys, &["--url", examples::HELLO]);
    let mut child = webtask(&["audit", "--keys", &keys, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(token.as_bytes()).expect("written");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(stdout(&output).contains("world token"));
}
