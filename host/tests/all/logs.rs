//! `webtask logs`: what is printed, what goes on after a break, how it ends.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::{Child, ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use webtask_tests::guests;

use crate::{
    common::{failure, field, keyring, run, stdout, webtask},
    serve::{request, serve},
};

/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

fn token(keys: &str, code: &str) -> String {
    stdout(&run(&["token", "create", "--keys", keys, "--url", code]))
}

/// What the command prints once it prints `part`.
fn printed(args: &[&str], part: &str) -> String {
    let until = Instant::now() + SOON;
    loop {
        let text = stdout(&run(args));
        if text.contains(part) {
            return text;
        }
        // The record of a request is written when its answer is out.
        assert!(Instant::now() < until, "no {part:?} in {text}");
    }
}

/// A command that goes on, and what it prints.
struct Follows {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Follows {
    fn start(args: &[&str]) -> Self {
        let mut child = webtask(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }

    /// How it ends, and what it said on stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        let mut stderr = self.child.stderr.take().expect("piped");
        stderr.read_to_string(&mut text).expect("text");
        (self.child.wait().expect("a child").code(), text)
    }
}

#[test]
fn logs_are_printed_as_an_author_reads_them() {
    let (_dir, keys) = keyring();
    let server = serve(&keys);
    let token = token(&keys, guests::LOGGER);
    let answer = request(&server.address, "GET", "/run", &token).expect("an answer");
    let id = field(&answer.1, "webtask-request-id").expect("an id");
    let short = id.split_once('-').expect("two parts").1;
    let args = ["logs", "--token", &token, "--host", &server.address];
    let text = printed(&args, " ok in ");
    for line in [
        format!(" INFO  {short} stdout: a line on stdout\n"),
        format!(" WARN  {short} stderr: a line on stderr\n"),
        format!(" INFO  {short} GET 200 ok in "),
    ] {
        assert!(text.contains(&line), "{line:?} in {text}");
    }
    // Not on a terminal: no colours, and nothing of the guest's reaches one in any case.
    assert!(
        !text.contains('\u{1b}') && text.contains(r"\u{1b}[31mred"),
        "{text}"
    );
    let first = text.lines().next().expect("a line");
    assert!(
        first.len() > 12 && first.as_bytes()[2] == b':' && first.as_bytes()[8] == b'.',
        "{first}"
    );

    let with = |more: &[&str]| stdout(&run(&[&args[..], more].concat()));
    let warnings = with(&["--level", "warn"]);
    assert!(
        warnings.contains("a warn line") && !warnings.contains("INFO"),
        "{warnings}"
    );
    assert_eq!(with(&["--text", "on stdout"]).lines().count(), 1);
    let json = with(&["--json"]);
    for line in json.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let event = line["event"].as_str().expect("a name");
        assert!(event == "log" || event == "invocation", "{line}");
        assert_eq!(line["request_id"], id);
    }
    assert!(json.contains("\"code\":\"ok\""), "{json}");
}

#[test]
fn logs_say_why_there_are_none() {
    let (dir, keys) = keyring();
    let server = serve(&keys);
    let whole = token(&keys, guests::LOGGER);
    let narrowed = stdout(&run(&["token", "attenuate", &whole, "--method", "GET"]));
    let file = dir.path().join("token");
    std::fs::write(&file, &narrowed).expect("own directory");
    let file = crate::common::text(&file);
    let refused = run(&["logs", "--token-file", file, "--host", &server.address]);
    let (status, said) = failure(&refused);
    assert!(
        status == 1 && said.contains("403 denied"),
        "{status}: {said}"
    );
    assert!(!said.contains(&narrowed), "{said}");
    assert!(said.contains("hint: a token that was narrowed"), "{said}");
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://{}", free.local_addr().expect("bound"));
    drop(free);
    let (status, said) = failure(&run(&[
        "logs", "--token", &whole, "--host", &nobody, "--follow",
    ]));
    assert!(
        status == 2 && said.contains("hint: is the runtime running"),
        "{status}: {said}"
    );
    let (status, said) = failure(&run(&["logs", "--host", &server.address]));
    assert!(
        status == 2 && said.contains("--token-file"),
        "{status}: {said}"
    );
    let (status, _) = failure(&run(&["logs", "--token", &whole, "--level", "all"]));
    assert_eq!(status, 2);
}

#[test]
fn logs_that_are_followed_end_quietly() {
    let (_dir, keys) = keyring();
    let server = serve(&keys);
    let token = token(&keys, guests::LOGGER);
    let args = ["logs", "--token", &token, "--host", &server.address, "-f"];
    request(&server.address, "GET", "/run", &token).expect("an answer");
    let mut follows = Follows::start(&args);
    while !follows.line().contains(" ok in ") {}
    request(&server.address, "GET", "/run", &token).expect("an answer");
    while !follows.line().contains(" ok in ") {}
    let pid = follows.child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(killed.expect("kill runs").success());
    assert_eq!(follows.end(), (Some(0), String::new()));
    // Nobody reads it any more, as with `head`.
    let mut follows = Follows::start(&args);
    follows.line();
    follows.lines = {
        let mut empty = std::process::Command::new("true");
        let mut ends = empty.stdout(Stdio::piped()).spawn().expect("it starts");
        ends.wait().expect("it ends");
        BufReader::new(ends.stdout.take().expect("piped"))
    };
    let done = thread::spawn(move || follows.end());
    let until = Instant::now() + SOON;
    while !done.is_finished() {
        assert!(Instant::now() < until, "it goes on");
        request(&server.address, "GET", "/run", &token).expect("an answer");
    }
    assert_eq!(done.join().expect("a thread"), (Some(0), String::new()));
}

/// One answer: server-sent events, and the connection's end. What was asked.
fn answer(listener: &TcpListener, events: &str) -> String {
    let (stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).expect("a line") > 2 {}
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}"
    );
    reader
        .get_mut()
        .write_all(answer.as_bytes())
        .expect("it reads");
    head
}

#[test]
fn logs_go_on_after_a_break_and_tell_what_is_missing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let host = format!("http://{}", listener.local_addr().expect("bound"));
    let line = |id: &str, text: &str| {
        format!(
            "event: log\nid: {id}\ndata: {{\"time\":\"2026-11-25T22:50:01.123Z\",\"level\":\"info\",\"request_id\":\"p-1\",\"context\":\"stdout\",\"message\":\"{text}\"}}\n\n"
        )
    };
    let asked = thread::spawn(move || {
        let first = answer(
            &listener,
            &format!("retry: 10\n\n{}", line("p-7", "before")),
        );
        // An event that is cut in the middle was never there.
        let second = answer(&listener, "event: log\nid: p-8\ndata: {\"mess");
        let end = "event: end\ndata: {\"code\":\"token-revoked\"}\n\n";
        let dropped = "event: dropped\ndata: {\"count\":3,\"because\":\"history\"}\n\n";
        let after = line("p-c", "after\\u001b[2J");
        let third = answer(&listener, &format!("{dropped}{after}{end}"));
        [first, second, third]
    });
    let output = run(&[
        "logs", "--token", "wt1.x", "--host", &host, "-f", "--level", "info", "--text", "a b",
    ]);
    let (status, said) = failure(&output);
    let asked = asked.join().expect("three requests");
    assert_eq!(field(&asked[0], "last-event-id"), None);
    assert_eq!(field(&asked[1], "last-event-id"), Some("p-7"));
    assert_eq!(field(&asked[2], "last-event-id"), Some("p-7"));
    assert!(
        asked[0].starts_with("GET /v1/logs?level=info&text=a+b&follow=true HTTP/1.1"),
        "{}",
        asked[0]
    );
    assert_eq!(field(&asked[0], "authorization"), Some("Bearer wt1.x"));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        printed,
        "22:50:01.123 INFO  1 stdout: before\n22:50:01.123 INFO  1 stdout: after\\u{1b}[2J\n"
    );
    assert!(
        status == 1 && said.contains("the runtime ended the log: token-revoked"),
        "{said}"
    );
    assert!(
        said.contains("3 lines are missing: they had gone out of the runtime's history"),
        "{said}"
    );
    assert!(said.contains("connecting again in"), "{said}");
}
