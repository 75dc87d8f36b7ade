//! A serving process and the way out of it: whom it trusts, whom it asks, what it does not read.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use webtask_tests::{BUILT, guests};

use crate::common::{Running, answer, failure, keyring, once, run, stdout, text, webtask};

#[test]
fn proxies_of_the_environment_are_ignored() {
    let (_dir, keys) = keyring();
    let (origin, asked) = once(|_, _| answer(200, "origin"));
    // Nobody accepts there: a host that asked a proxy would fail.
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = format!("http://{}", unused.local_addr().expect("bound"));
    drop(unused);
    let environment: Vec<_> = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ]
    .map(|name| (name, proxy.as_str()))
    .to_vec();
    let args = [
        "serve",
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
        "--allow-code",
        BUILT,
        "--allow-private",
        "127.0.0.1",
    ];
    let server = Running::start_with(&args, &environment, "listening");
    let url = format!("{origin}/direct");
    let allow = format!("GET {url}");
    let token = stdout(&run(&[
        "token",
        "create",
        "--keys",
        &keys,
        "--url",
        guests::OUTBOUND,
        "--allow",
        &allow,
    ]));
    let path = format!("/?method=GET&url={url}");
    let mut invoke = webtask(&["invoke", &token, &path, "--host", &server.address]);
    let answer = stdout(
        &invoke
            .envs(environment.iter().copied())
            .output()
            .expect("it starts"),
    );
    assert!(answer.contains("origin"), "{answer}");
    let (asked, _) = asked.join().expect("a request");
    assert!(asked.starts_with("GET /direct HTTP/1.1\r\n"), "{asked}");
}

#[test]
fn what_cannot_be_trusted_or_asked_is_refused_at_the_start() {
    let (dir, keys) = keyring();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").expect("a file");
    let broken = dir.path().join("broken.pem");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(&broken, pem).expect("a file");
    let missing = dir.path().join("missing.pem");
    for file in [&empty, &broken, &missing] {
        let output = run(&[
            "serve",
            "--keys",
            &keys,
            "--listen",
            "127.0.0.1:0",
            "--ca",
            text(file),
        ]);
        let (status, error) = failure(&output);
        assert!(status == 2 && error.contains(text(file)), "{error}");
    }
    let output = run(&[
        "serve",
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
        "--dns",
        "dns.example",
    ]);
    let (status, error) = failure(&output);
    assert!(status == 2 && error.contains("\"dns.example\""), "{error}");
}

/// At each start and for each range, wherever it was opened.
#[test]
fn opened_private_ranges_are_warned_of_at_every_start() {
    let (dir, keys) = keyring();
    let config = dir.path().join("host.toml");
    fs::write(&config, "allow-private = ['10.1.2.0/24', 'fd00::/8']\n").expect("a file");
    let flags = [
        "--allow-private",
        "10.1.2.0/24",
        "--allow-private",
        "fd00::/8",
    ];
    let log = dir.path().join("log");
    for (opened, ranges) in [
        (&flags[..], 2),
        (&flags[..], 2),
        (&["--config", text(&config)], 2),
        (&[], 0),
    ] {
        let fixed = ["serve", "--keys", &keys, "--listen", "127.0.0.1:0"];
        let mut child = webtask(&[&fixed[..], &["--allow-code", BUILT], opened].concat())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("the command starts");
        let mut started = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped"));
        lines.read_line(&mut started).expect("a line");
        child.kill().expect("it runs");
        child.wait().expect("a child");
        assert!(started.contains("listening"), "{started}");
        let log = fs::read_to_string(&log).expect("text");
        let warned = |line: &&str| line.contains("WARN") && line.contains("addresses beyond");
        assert_eq!(
            log.lines().filter(warned).count(),
            ranges,
            "{opened:?}: {log}"
        );
        for range in ["10.1.2.0/24", "fd00::/8"] {
            assert_eq!(log.contains(range), ranges > 0, "{opened:?}: {log}");
        }
    }
}
