//! `webtask invoke`: where tokens and bodies come from, where answers go, times, and calls again.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Output, Stdio},
};

use webtask_tests::{examples, guests};

use crate::{
    common::{failure, keyring, run, stdout, text, webtask},
    serve::serve,
};

fn token(keys: &str, code: &str) -> String {
    stdout(&run(&["token", "create", "--keys", keys, "--url", code]))
}

/// The command with this on its stdin.
fn run_with(args: &[&str], stdin: &str, environment: &[(&str, &str)]) -> Output {
    let mut child = webtask(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut to = child.stdin.take().expect("piped");
    to.write_all(stdin.as_bytes()).expect("it reads");
    drop(to);
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_call_has_its_token_and_its_body_from_wherever_they_are() {
    let (dir, keys) = keyring();
    let server = serve(&keys);
    let token = token(&keys, guests::ECHO);
    let host = ["--host", server.address.as_str()];
    let (in_file, body) = (dir.path().join("token"), dir.path().join("body"));
    fs::write(&in_file, format!("{token}\n")).expect("own directory");
    fs::write(&body, "of a file").expect("own directory");
    let (in_file, body) = (text(&in_file), format!("@{}", text(&body)));
    let environment = [("WEBTASK_TOKEN", token.as_str())];
    for (args, stdin, environment, echoed) in [
        (
            vec!["invoke", &token, "/", "-d", "typed"],
            "",
            &[][..],
            "typed",
        ),
        (vec!["invoke", "-", "-d", &body], &token, &[], "of a file"),
        (
            vec!["invoke", "--token-file", in_file, "/x", "-d", "@-"],
            "of stdin",
            &[],
            "of stdin",
        ),
        (
            vec!["invoke", "--token-file", in_file, "-d", "no path"],
            "",
            &[],
            "no path",
        ),
        (
            vec!["invoke", "/x", "-d", "hidden"],
            "",
            &environment,
            "hidden",
        ),
        (
            vec!["invoke", "--token", "-", "/x", "-d", "y"],
            &token,
            &[],
            "y",
        ),
    ] {
        let output = run_with(&[&args[..], &host].concat(), stdin, environment);
        assert_eq!(stdout(&output), echoed, "{args:?}");
    }
}

#[test]
fn a_call_that_cannot_be_says_what_to_do() {
    let (_dir, keys) = keyring();
    let (token, host) = (token(&keys, guests::ECHO), ["--host", "http://127.0.0.1:9"]);
    for (args, says) in [
        (vec!["invoke", "-", "-d", "@-"], "both come from stdin"),
        (vec!["invoke"], "there is no token"),
        (
            vec!["invoke", &token, "-d", "@no/such/file"],
            "no/such/file",
        ),
        (
            vec!["invoke", &token, "-H", "no colon"],
            "is no header field",
        ),
        (vec!["invoke", &token, "--watch"], "nothing to watch"),
        (vec!["invoke", &token, "--watch=soon"], "--watch=soon"),
    ] {
        let (status, said) = failure(&run_with(&[&args[..], &host].concat(), "", &[]));
        assert!(
            status == 2 && said.contains(says),
            "{args:?}: {status}: {said}"
        );
        assert!(!said.contains(&token), "{said}");
    }
}

#[test]
fn an_answer_goes_into_a_file_and_an_error_nowhere_if_asked() {
    let (dir, keys) = keyring();
    let server = serve(&keys);
    let (echo, fails) = (token(&keys, guests::ECHO), token(&keys, examples::EVENTS));
    let file = dir.path().join("answer");
    let to = text(&file);
    let args = [
        "invoke",
        &echo,
        "-d",
        "kept",
        "-o",
        to,
        "--host",
        &server.address,
    ];
    assert_eq!(stdout(&run(&args)), "");
    assert_eq!(fs::read_to_string(&file).expect("a file"), "kept");
    for (fail, shown) in [(&[][..], true), (&["--fail"], false)] {
        let args = [
            "invoke",
            &fails,
            "/countdown/launch?from=soon",
            "-i",
            "--host",
            &server.address,
        ];
        let output = run(&[&args[..], fail].concat());
        let (exit, said) = failure(&output);
        assert!(
            exit == 1 && said.contains("HTTP/1.1 400") && said.contains("webtask-source: guest"),
            "{said}"
        );
        assert_eq!(!output.stdout.is_empty(), shown, "{output:?}");
    }
    let nowhere = [
        "invoke",
        &echo,
        "-d",
        "x",
        "-o",
        "/no/such/directory/x",
        "--host",
        &server.address,
    ];
    let (exit, said) = failure(&run(&nowhere));
    assert!(exit == 2 && said.contains("/no/such/directory/x"), "{said}");
}

#[test]
fn a_call_says_how_long_each_part_took_and_what_was_logged() {
    let (_dir, keys) = keyring();
    let server = serve(&keys);
    let token = token(&keys, guests::LOGGER);
    let said = |token: &str| {
        let output = run(&[
            "invoke",
            token,
            "--time",
            "--logs",
            "--host",
            &server.address,
        ]);
        assert_eq!(stdout(&output), "logged");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let whole = said(&token);
    for part in [
        "time: lookup ",
        ", connect ",
        ", first byte ",
        ", body ",
        ", total ",
        "host: open ",
        ", load ",
        ", instantiate ",
        ", run ",
        ", cpu ",
        "MiB",
        " stdout: a line on stdout\n",
    ] {
        assert!(whole.contains(part), "{part:?} in {whole}");
    }
    assert!(!whole.contains("tls "), "{whole}");
    // Of another token's log nothing, and the call is as good.
    let narrowed = stdout(&run(&["token", "attenuate", &token, "--method", "GET"]));
    let narrowed = said(&narrowed);
    assert!(
        narrowed.contains("time: lookup ") && !narrowed.contains("host: open"),
        "{narrowed}"
    );
    assert!(
        narrowed.contains("note: nothing of the runtime's log: 403 denied"),
        "{narrowed}"
    );
}

#[test]
fn a_call_is_made_again_when_its_file_changes() {
    let (dir, keys) = keyring();
    let server = serve(&keys);
    let token = token(&keys, guests::ECHO);
    let body = dir.path().join("body");
    fs::write(&body, "same\nfirst\n").expect("own directory");
    let data = format!("@{}", text(&body));
    let args = [
        "invoke",
        &token,
        "-d",
        &data,
        "--watch",
        "--host",
        &server.address,
    ];
    let mut child = webtask(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        line
    };
    assert_eq!([line(), line()], ["same\n", "first\n"]);
    // Of another length: two changes within the resolution of a file's time are one.
    fs::write(&body, "same\nsecond one\n").expect("own directory");
    assert_eq!([line(), line()], ["same\n", "second one\n"]);
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.expect("kill runs").success());
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("piped");
    stderr.read_to_string(&mut said).expect("text");
    assert!(child.wait().expect("a child").success(), "{said}");
    assert!(
        said.contains("body changed, calling again\n- first\n+ second one\n"),
        "{said}"
    );
}
