//! A serving process and the way out of it: whom it trusts, whom it asks, what it does not read.

use std::io::Read as _;

use webtask_tests::{BUILT, guests};

use crate::common::{Running, failure, keyring, run, stdout, text, webtask};

/// An origin for one request, on a thread: answers, and gives back what it was asked.
fn origin() -> (String, std::thread::JoinHandle<String>) {
    use std::io::Write as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            head.extend(byte);
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\norigin";
        stream.write_all(answer).expect("an answer is taken");
        String::from_utf8(head).expect("text")
    });
    (address, asked)
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let (_dir, keys) = keyring();
    let (address, asked) = origin();
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
    let url = format!("http://{address}/direct");
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
    let asked = asked.join().expect("a request");
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
