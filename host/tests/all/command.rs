//! The command as its users meet it: exit codes, files, pipes and what is printed.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use webtask_tests::{BUILT, examples};

use crate::common::{Running, failure, keyring, run, stdout, text, webtask};

#[test]
fn from_a_keyring_to_an_answer() {
    let (_dir, keys) = keyring();
    assert_eq!(
        fs::metadata(&keys).expect("a file").permissions().mode() & 0o777,
        0o600
    );
    let kid = stdout(&run(&["keys", "list", "--keys", &keys]));
    assert!(!kid.is_empty());

    let token = stdout(&run(&[
        "token",
        "create",
        "--keys",
        &keys,
        "--url",
        examples::HELLO,
    ]));
    assert!(
        token.starts_with("wt1.") && !token.contains(char::is_whitespace),
        "{token}"
    );
    let mut server = Running::start(
        &[
            "serve",
            "--keys",
            &keys,
            "--listen",
            "127.0.0.1:0",
            "--allow-code",
            BUILT,
        ],
        "listening",
    );
    let answer = stdout(&run(&[
        "invoke",
        &token,
        "/world",
        "--host",
        &server.address,
    ]));
    assert!(answer.to_lowercase().contains("hello"), "{answer}");

    let mut broken = token.clone();
    broken.replace_range(10..11, if &token[10..11] == "A" { "B" } else { "A" });
    let (status, error) = failure(&run(&["invoke", &broken, "--host", &server.address]));
    assert!(
        status == 1 && error.contains("401 token-invalid"),
        "{status}: {error}"
    );
    assert_eq!(
        error
            .lines()
            .filter(|line| line.starts_with("hint: "))
            .count(),
        1,
        "{error}"
    );

    server.signal("-TERM");
    assert!(server.wait().success());
}

/// Design section 3: a URL, a digest, one bound secret of 40 bytes and an expiry.
#[test]
fn a_token_is_short_and_shows_nothing() {
    let (_dir, keys) = keyring();
    let secret = format!("S3cret{}", "x".repeat(34));
    let url = "https://code.example.com/webtasks/shop/charge.wasm";
    let output = run(&[
        "token",
        "create",
        "--keys",
        &keys,
        "--url",
        url,
        "--sha256",
        &"ab".repeat(32),
        "--expires",
        "30d",
        "--secret",
        &format!("api-key={secret}"),
        "--bind",
        "api-key=POST https://api.stripe.com/v1/charges authorization: Bearer {}",
    ]);
    let token = stdout(&output);
    println!("{} characters", token.len());
    assert!(token.len() < 480, "{} characters", token.len());
    for hidden in ["S3cret", "example", "charge", "stripe"] {
        assert!(!token.contains(hidden));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("S3cret"), "{stderr}");
    assert!(
        stderr.contains("hint: "),
        "a secret on the command line deserves a hint: {stderr}"
    );

    let without = stdout(&run(&["token", "inspect", &token]));
    assert!(!without.contains("example.com"), "{without}");
    let with = stdout(&run(&["token", "inspect", &token, "--keys", &keys]));
    assert!(
        with.contains(url) && with.contains("api-key") && !with.contains("S3cret"),
        "{with}"
    );
    let json = stdout(&run(&[
        "token", "inspect", &token, "--keys", &keys, "--json",
    ]));
    assert!(json.starts_with('{') && !json.contains("S3cret"), "{json}");
}

#[test]
fn wrong_inputs_give_one_clear_line_and_a_hint() {
    let (dir, keys) = keyring();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = free.local_addr().expect("bound").to_string();
    let config = dir.path().join("config.toml");
    fs::write(
        &config,
        "listen = \"127.0.0.1:0\"\n[limits]\nmemroy = \"1MiB\"\n",
    )
    .expect("a file");
    let missing = text(&dir.path().join("missing.toml")).to_owned();
    for (args, status, says) in [
        (
            vec!["serve", "--keys", &keys, "--listen", &taken],
            2,
            "cannot listen",
        ),
        (
            vec!["serve", "--keys", &keys, "--config", text(&config)],
            1,
            "memroy",
        ),
        (vec!["serve", "--keys", &missing], 2, "missing.toml"),
        (vec!["serve"], 2, "keyring"),
        (
            vec!["serve", "--keys", &keys, "--allow-code", "gopher://x"],
            2,
            "gopher",
        ),
        (
            vec!["serve", "--keys", &keys, "--allow-private", "10.0.0.0/99"],
            2,
            "10.0.0.0/99",
        ),
        (vec!["keys", "generate", "--keys", &keys], 1, "keys.toml"),
        (
            vec![
                "token",
                "create",
                "--keys",
                &keys,
                "--url",
                "https://example.com/x.wasm",
            ],
            2,
            "--unpinned",
        ),
        (vec!["token", "inspect", "wt1.half"], 1, ""),
        (vec!["token", "inspect", "nonsense"], 1, ""),
        (
            vec!["invoke", "wt1.x.y.z", "--host", "http://127.0.0.1:1"],
            2,
            "127.0.0.1:1",
        ),
    ] {
        let (found, error) = failure(&run(&args));
        assert!(error.contains(says), "{args:?}: {error}");
        assert_eq!(found, status, "{args:?}: {error}");
        assert!(
            error.lines().any(|line| line.starts_with("webtask: ")),
            "{args:?}: {error}"
        );
    }
    // clap's own words for what it does not know.
    let (status, error) = failure(&run(&["serve", "--lisen", "x"]));
    assert!(status == 2 && error.contains("--listen"), "{error}");
}

#[test]
fn a_keyring_that_others_can_read_is_refused() {
    let (_dir, keys) = keyring();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("own file");
    for args in [
        vec!["serve", "--keys", &keys],
        vec!["token", "create", "--keys", &keys, "--url", examples::HELLO],
        vec!["keys", "list", "--keys", &keys],
    ] {
        let (_, error) = failure(&run(&args));
        assert!(
            error.contains("644") && error.contains("chmod 600"),
            "{error}"
        );
    }
}

#[test]
fn a_token_comes_from_stdin_and_a_closed_pipe_is_no_failure() {
    let (_dir, keys) = keyring();
    let token = stdout(&run(&[
        "token",
        "create",
        "--keys",
        &keys,
        "--url",
        examples::HELLO,
    ]));
    let mut inspect = webtask(&["token", "inspect", "-", "--keys", &keys])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    inspect
        .stdin
        .take()
        .expect("piped")
        .write_all(format!("{token}\n").as_bytes())
        .expect("written");
    assert!(stdout(&inspect.wait_with_output().expect("ends")).contains("hello.wasm"));
    let mut closed = webtask(&["token", "inspect", &token, "--keys", &keys])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(closed.stdout.take());
    assert!(closed.wait().expect("ends").success());
}

/// Every line of the demo is pasted into a shell, as a newcomer does.
#[test]
fn each_line_of_the_demo_works_when_pasted() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("skipped: no curl on this machine");
        return;
    }
    let mut child = webtask(&["demo", "--examples", BUILT])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    let mut page = String::new();
    while !page.contains("What happens is logged below") {
        assert_ne!(
            lines.read_line(&mut page).expect("a line"),
            0,
            "the demo ended early: {page}"
        );
    }
    let mut demo = Running {
        child,
        address: String::new(),
        lines,
    };
    let pasted: Vec<_> = page
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(pasted.len(), 4, "{page}");
    for (line, expected) in pasted.iter().zip(["ello", "ch_", "pull_request", "401"]) {
        let answer = Command::new("sh")
            .args(["-c", &format!("{line} -sS")])
            .output()
            .expect("a shell");
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.contains(expected), "{line}\n{answer}");
    }
    // So do the commands that the page says the tokens were made by.
    let text = page.replace("\\\n", " ");
    let made: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("webtask token create"))
        .collect();
    assert_eq!(made.len(), 3, "{page}");
    for line in made {
        let output = Command::new("sh").args(["-c", line]).output();
        assert!(stdout(&output.expect("a shell")).starts_with("wt1."));
    }
    demo.signal("-INT");
    assert!(demo.wait().success());
    let mut rest = String::new();
    demo.lines.read_to_string(&mut rest).expect("text");
    let mut log = String::new();
    demo.child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut log)
        .expect("text");
    assert!(
        log.contains("webtask::access") && !log.contains("wt1."),
        "{log}"
    );
}

#[test]
fn help_is_good_enough_to_learn_from() {
    for args in [
        vec!["--help"],
        vec!["serve", "--help"],
        vec!["keys", "--help"],
        vec!["token", "create", "--help"],
        vec!["invoke", "--help"],
        vec!["logs", "--help"],
        vec!["demo", "--help"],
    ] {
        let help = stdout(&run(&args));
        assert!(help.len() > 400, "{args:?}: {help}");
        assert!(
            args.len() == 1 || args[0] == "keys" || args[0] == "demo" || help.contains("Examples:"),
            "{args:?}: {help}"
        );
    }
}

#[test]
fn what_is_no_component_is_said_when_the_token_is_made() {
    let (dir, keys) = keyring();
    for (bytes, says) in [
        (&b"\0asm\x01\0\0\0"[..], "wasm32-wasip2"),
        (b"hello", "not WebAssembly"),
    ] {
        let path = dir.path().join("x.wasm");
        fs::write(&path, bytes).expect("a file");
        let made = run(&["token", "create", "--keys", &keys, "--url", text(&path)]);
        assert!(stdout(&made).starts_with("wt1."));
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(said.contains("warning: ") && said.contains(says), "{said}");
    }
}
