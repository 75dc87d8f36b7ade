//! The log of a serving process as lines of JSON, and spans to where the environment says.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Child, Stdio},
};

use serde_json::Value;
use webtask_tests::{BUILT, examples, guests};

use crate::{
    common::{keyring, run, stdout, text, webtask},
    serve::request,
};

/// A serving process whose stderr goes to a file.
struct Logged {
    child: Child,
    address: String,
    out: BufReader<std::process::ChildStdout>,
}

impl Logged {
    fn start(keys: &str, log: &Path, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let args = [
            "serve",
            "--keys",
            keys,
            "--listen",
            "127.0.0.1:0",
            "--allow-code",
            BUILT,
        ];
        let mut child = webtask(&[&args[..], more].concat())
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(File::create(log).expect("own directory"))
            .spawn()
            .expect("the command starts");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let address = line
            .trim()
            .strip_prefix("listening on ")
            .expect("an address");
        Self {
            address: address.to_owned(),
            child,
            out,
        }
    }

    /// Ends as on SIGTERM, with nothing more on stdout.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        let killed = std::process::Command::new("kill").arg(pid).status();
        assert!(killed.expect("kill runs").success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "stdout has one line");
        assert!(self.child.wait().expect("a child").success());
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn token(keys: &str, code: &str) -> String {
    stdout(&run(&["token", "create", "--keys", keys, "--url", code]))
}

/// Every line of the file, each one flat JSON object.
fn records(log: &Path) -> Vec<serde_json::Map<String, Value>> {
    let text = fs::read_to_string(log).expect("UTF-8");
    let lines = text.lines().map(|line| {
        let record: Result<serde_json::Map<_, _>, _> = serde_json::from_str(line);
        assert!(record.is_ok(), "{record:?}: {line}");
        record.unwrap_or_default()
    });
    let records: Vec<_> = lines.collect();
    for record in &records {
        let time = record["timestamp"].as_str().expect("a time");
        assert!(
            time.starts_with("20") && time.contains('T') && time.ends_with('Z'),
            "{time}"
        );
        for (name, value) in record {
            assert!(!value.is_object() && !value.is_array(), "{name}: {value}");
        }
    }
    records
}

#[test]
fn a_log_of_json_is_json_in_every_line_whatever_a_guest_writes() {
    let (dir, keys) = keyring();
    let log = dir.path().join("log");
    let server = Logged::start(
        &keys,
        &log,
        &["--log-format", "json"],
        &[("WEBTASK_LOG", "debug")],
    );
    for code in [guests::LOGGER, guests::TRAP, examples::HELLO] {
        let answered = request(
            &server.address,
            "GET",
            "/run/a?query=s3cret",
            &token(&keys, code),
        );
        assert!(answered.is_some(), "{code}");
    }
    assert_eq!(
        request(&server.address, "GET", "/run", "wt1.x.y.z").map(|(status, _)| status),
        Some(401)
    );
    server.stop();
    let records = records(&log);
    let of = |target: &str| {
        let target = Value::from(target);
        records
            .iter()
            .filter(move |record| record["target"] == target)
    };
    // What the guest wrote is one text in one record, and nothing else of it is anywhere.
    let said: Vec<_> = of("webtask::guest")
        .filter_map(|record| record["text"].as_str())
        .collect();
    assert!(
        said.iter()
            .any(|text| text.contains("forged: another tenant's line")),
        "{said:#?}"
    );
    assert!(
        said.iter()
            .any(|text| text.contains('\u{fffd}') && text.contains(r#""quoted" \"#)),
        "{said:#?}"
    );
    assert!(
        said.iter().all(|text| !text.chars().any(char::is_control)),
        "{said:#?}"
    );
    let forged = Value::from("victim");
    assert!(
        records
            .iter()
            .all(|record| record.get("tenant") != Some(&forged))
    );

    let access: Vec<_> = of("webtask::access").collect();
    assert_eq!(access.len(), 4);
    let always = [
        "timestamp",
        "level",
        "target",
        "request_id",
        "token_id",
        "kid",
        "tenant",
        "method",
        "status",
        "code",
        "received",
        "sent",
        "calls",
        "out_received",
        "out_sent",
        "memory",
        "cpu_us",
        "wall_us",
        "open_us",
        "load_us",
        "instantiate_us",
        "run_us",
        "trace_id",
    ];
    for record in &access {
        for name in always {
            assert!(record.contains_key(name), "{name}: {record:?}");
        }
        assert!(
            record["status"].is_u64() && record["run_us"].is_u64(),
            "{record:?}"
        );
    }
    let trapped = access
        .iter()
        .find(|record| record["code"] == "guest-trap")
        .expect("a record");
    assert_eq!(
        (&trapped["status"], &trapped["blame"]),
        (&500.into(), &"guest".into())
    );
    assert_eq!(trapped["digest"].as_str().map(str::len), Some(64));
    let text = fs::read_to_string(&log).expect("text");
    assert!(!text.contains("s3cret"), "a query is in no record");
    // README has a row for each field, and no other.
    let operations = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/operations.md"
    ));
    let operations = operations.expect("the document");
    for name in access.iter().flat_map(|record| record.keys()) {
        assert!(
            operations.contains(&format!("| `{name}` |")),
            "docs/operations.md lacks {name}"
        );
    }
}

#[test]
fn a_failure_to_start_is_json_too_and_the_configuration_can_ask_for_it() {
    let (dir, keys) = keyring();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let config = dir.path().join("webtask.toml");
    fs::write(&config, "log-format = 'json'\n").expect("own directory");
    let output = run(&[
        "serve",
        "--keys",
        &keys,
        "--config",
        text(&config),
        "--listen",
        &address,
    ]);
    assert_eq!(output.status.code(), Some(2));
    let log = dir.path().join("log");
    fs::write(&log, &output.stderr).expect("own directory");
    let records = records(&log);
    let last = records.last().expect("a record");
    let message = last["message"].as_str().expect("text");
    assert!(message.contains("cannot listen on"), "{message}");
    assert!(
        last["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("--listen")),
        "{last:?}"
    );
    // A flag wins, and what is no format is told.
    let plain = run(&[
        "serve",
        "--keys",
        &keys,
        "--config",
        text(&config),
        "--log-format",
        "text",
        "--listen",
        &address,
    ]);
    assert!(
        String::from_utf8_lossy(&plain.stderr).starts_with("webtask: cannot listen"),
        "{plain:?}"
    );
    fs::write(&config, "log-format = 'yaml'\n").expect("own directory");
    let none = run(&["serve", "--keys", &keys, "--config", text(&config)]);
    assert!(
        String::from_utf8_lossy(&none.stderr).contains("yaml"),
        "{none:?}"
    );
}

#[test]
fn spans_go_where_the_environment_says_and_the_last_ones_before_the_end() {
    let (dir, keys) = keyring();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let collector = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while reader.read_line(&mut head).expect("a line") > 2 {}
        let length = crate::common::field(&head, "content-length").expect("a length");
        let mut body = vec![0; length.parse().expect("a number")];
        reader.read_exact(&mut body).expect("a body");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        reader.get_mut().write_all(answer).expect("it listens");
        (head, body)
    });
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-collector-key=k"),
        ("OTEL_SERVICE_NAME", "the-service"),
        // Longer than the test: only the end of the process sends them.
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
    ];
    let server = Logged::start(&keys, &dir.path().join("log"), &[], &environment);
    let answered = request(
        &server.address,
        "GET",
        "/run",
        &token(&keys, examples::HELLO),
    );
    assert_eq!(answered.map(|(status, _)| status), Some(200));
    server.stop();
    let (head, body) = collector.join().expect("a batch");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert_eq!(crate::common::field(&head, "x-collector-key"), Some("k"));
    let body = String::from_utf8_lossy(&body);
    assert!(
        body.contains("the-service") && body.contains("GET /run/{rest}"),
        "{body}"
    );

    let refused = webtask(&["serve", "--keys", &keys, "--listen", "127.0.0.1:0"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .output()
        .expect("it starts");
    assert_eq!(refused.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("http/protobuf"), "{stderr}");
}
