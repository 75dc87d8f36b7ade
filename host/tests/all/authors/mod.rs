//! The author's loop: a new project, its tests, its component, and `webtask dev` in a terminal.

mod dev;
mod project;
mod terminal;

use std::{fs, path::Path};

use serde_json::Value;
use webtask_tests::Origin;

use crate::common::{Running, failure, run, stdout, text};
use project::{Project, checkout, git};

/// What each template's README says to try, as far as a token goes: method, path, fields, body, and the answer.
struct Attempt<'a> {
    template: &'static str,
    method: &'a str,
    path: &'a str,
    fields: String,
    body: &'a str,
    answer: (u16, &'a str),
}

/// The HMAC-SHA256 of `{"action":"opened"}` under the key `change-me`.
const SIGNED: &str = "6942152a5814fac08d91d3401136975e9cb5e0e84294d5b8b4c7b6656cfbf1f7";

fn attempts() -> [Attempt<'static>; 4] {
    let attempt = |template, method, path, body, answer| Attempt {
        template,
        method,
        path,
        fields: String::new(),
        body,
        answer,
    };
    let mut webhook = attempt(
        "webhook",
        "POST",
        "/",
        r#"{"action":"opened"}"#,
        (202, "taken\n"),
    );
    webhook.fields = format!("x-github-event: issues\r\nx-hub-signature-256: sha256={SIGNED}\r\n");
    let order = r#"{"items":[{"price":250,"quantity":2}]}"#;
    [
        attempt("hello", "GET", "/Ada", "", (200, "Hello, Ada!\n")),
        attempt(
            "json-api",
            "POST",
            "/quotes",
            order,
            (200, r#"{"items":1,"total":500}"#),
        ),
        attempt(
            "proxy-with-secret",
            "GET",
            "/v1/things?x=1",
            "",
            (200, "things"),
        ),
        webhook,
    ]
}

/// Each template passes its own tests, builds, and answers as its README says, with the token of its own `webtask.toml`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_template_is_tested_builds_and_answers() {
    let api = Origin::start(|seen| {
        let key = seen
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let known = key == Some("Bearer change-me") && seen.path == "/v1/things?x=1";
        let answer = http::Response::builder().status(if known { 200 } else { 401 });
        answer.body("things".into()).expect("an answer")
    })
    .await;
    for attempt in attempts() {
        let project = Project::new(attempt.template, attempt.template);
        project.replace(
            "webtask.toml",
            "https://api.example.com",
            api.url("").trim_end_matches('/'),
        );
        let tested = project
            .cargo(&["test", "--quiet"])
            .output()
            .expect("cargo starts");
        assert!(tested.status.success(), "{}: {tested:?}", attempt.template);

        let built = stdout(
            &project
                .webtask(&["build", "--json"])
                .output()
                .expect("it starts"),
        );
        let built: Value = serde_json::from_str(&built).expect("JSON");
        let path = built["path"].as_str().expect("a path");
        assert_eq!(built["missing"], Value::Array(Vec::new()), "{built}");
        assert_eq!(built["bytes"], fs::metadata(path).expect("a file").len());
        assert_eq!(built["component"]["sha256"], built["sha256"]);
        eprintln!("{}: {} bytes", attempt.template, built["bytes"]);

        let server = deployed(&project, path);
        let fields = format!(
            "host: x\r\nwebtask-token: {}\r\n{}",
            server.1, attempt.fields
        );
        let path = format!("/run{}", attempt.path);
        let answer = project::call(
            &server.0.address,
            attempt.method,
            &path,
            &fields,
            attempt.body,
        );
        let (status, body) = attempt.answer;
        assert_eq!(answer, (status, body.to_owned()), "{}", attempt.template);
    }
}

/// A runtime for the component at `path`, and the token that the project's README makes.
fn deployed(project: &Project, path: &str) -> (Running, String) {
    let keys = text(&project.path().join("keys.toml")).to_owned();
    stdout(&run(&["keys", "generate", "--keys", &keys]));
    let [from, env] =
        ["webtask.toml", ".env"].map(|name| text(&project.path().join(name)).to_owned());
    let create = [
        "token", "create", "--keys", &keys, "--strict", "--url", path, "--from", &from,
    ];
    let secrets = ["--env-file", &*env];
    let secrets = if Path::new(&env).exists() {
        &secrets[..]
    } else {
        &[]
    };
    let token = stdout(&run(&[&create[..], secrets].concat()));
    let code = text(Path::new(path).parent().expect("a directory"));
    let serve = [
        "serve",
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
        "--allow-code",
        code,
    ];
    let more = ["--allow-private", "127.0.0.1"];
    (
        Running::start(&[&serve[..], &more].concat(), "listening"),
        token,
    )
}

#[test]
fn a_new_project_has_all_that_it_needs() {
    let directory = tempfile::tempdir().expect("a directory");
    let new = |args: &[&str]| {
        let mut command = crate::common::webtask(&[&["new"], args].concat());
        command
            .current_dir(directory.path())
            .output()
            .expect("it starts")
    };
    let made = new(&["my-proxy", "--template", "proxy-with-secret"]);
    assert!(
        String::from_utf8_lossy(&made.stderr).contains("the SDK is that of /"),
        "{made:?}"
    );
    assert_eq!(
        stdout(&made),
        "made my-proxy; now: cd my-proxy && webtask dev"
    );
    let path = |name: &str| directory.path().join("my-proxy").join(name);
    let read = |name: &str| fs::read_to_string(path(name)).expect(name);
    let manifest = read("Cargo.toml");
    for part in [
        "name = \"my-proxy\"",
        "[workspace]",
        "opt-level = \"s\"",
        "strip = true",
        "guest-sdk\" }",
    ] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
    let ignored = read(".gitignore");
    assert!(
        ignored.lines().any(|line| line == "/target") && ignored.lines().any(|line| line == ".env")
    );
    assert!(
        read("README.md").starts_with("# my-proxy\n")
            && read("src/main.rs").contains("webtask::test")
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(path(".env")).expect(".env").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "secrets are their owner's");
}

#[test]
fn what_is_there_stays_and_what_has_no_name_is_not_made() {
    let directory = tempfile::tempdir().expect("a directory");
    let new = |args: &[&str]| {
        let mut command = crate::common::webtask(&[&["new"], args].concat());
        command
            .current_dir(directory.path())
            .output()
            .expect("it starts")
    };
    let main = directory.path().join("my-proxy/src/main.rs");
    fs::create_dir_all(main.parent().expect("a directory")).expect("a directory");
    fs::write(&main, "mine").expect("a file");
    let (exit, says) = failure(&new(&["my-proxy"]));
    assert_eq!(exit, 1, "{says}");
    assert!(
        says.contains("my-proxy exists, and is left as it is"),
        "{says}"
    );
    assert_eq!(fs::read_to_string(&main).expect("a file"), "mine");

    for (args, says) in [
        (
            &["fn"][..],
            "\"fn\" is no name for a package: it is a word of Rust",
        ),
        (&["2fast"], "does not begin with a letter"),
        (&["a b"], "letters, digits, - and _"),
        (&["webtask"], "reserved"),
        (
            &["fine", "--sdk", "/no/such"],
            "--sdk: no package `webtask` in",
        ),
        (&["no/such/fine"], "cannot make no/such/fine"),
    ] {
        let (exit, said) = failure(&new(args));
        assert_eq!(exit, 2, "{said}");
        assert!(said.contains(says), "{said}");
    }
    let entries = fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(entries, 1, "what is refused leaves nothing");
}

#[test]
fn build_says_what_is_wrong_with_a_project() {
    let (exit, says) = failure(&run(&["build", "--dir", "/no/such"]));
    assert!(
        exit == 2 && says.contains("no Cargo.toml in /no/such") && says.contains("webtask new"),
        "{says}"
    );
    let (exit, says) = failure(&run(&["build", "--dir", &checkout()]));
    assert!(
        exit == 2 && says.contains("of a workspace and no package"),
        "{says}"
    );

    // Without the SDK: what is built here takes no time.
    let project = Project::bare("bare", "fn main() {}");
    let refused = project.webtask(&["build"]).output().expect("it starts");
    let (exit, says) = failure(&refused);
    assert!(
        exit == 1 && says.contains("exports neither wasi:http/incoming-handler"),
        "{says}"
    );
    assert!(says.contains("#[webtask::main]"), "{says}");
    let printed = String::from_utf8_lossy(&refused.stdout);
    assert!(
        printed.contains("sha256     ") && printed.contains("(!) Is refused"),
        "{printed}"
    );

    project.write("src/main.rs", "fn main() { nonsense(); }");
    let (exit, says) = failure(&project.webtask(&["build"]).output().expect("it starts"));
    assert!(
        exit == 1 && says.contains("cannot find function `nonsense`"),
        "{says}"
    );
    assert!(says.contains("src/main.rs:1:13"), "{says}");

    project.write("src/bin/other.rs", "fn main() {}");
    let (exit, says) = failure(&project.webtask(&["build"]).output().expect("it starts"));
    assert!(
        exit == 2 && says.contains("several programs: bare, other") && says.contains("--bin"),
        "{says}"
    );
    let built = project
        .webtask(&["build", "--bin", "other", "--json"])
        .output()
        .expect("it starts");
    let json: Value = serde_json::from_slice(&built.stdout).expect("JSON, whatever comes of it");
    assert_eq!(json["component"]["runs"], false, "{json}");

    project.write("webtask.toml", "\nalow = []\n");
    let (exit, says) = failure(
        &project
            .webtask(&["build", "--bin", "other"])
            .output()
            .expect("it starts"),
    );
    assert!(
        exit == 1 && says.contains("webtask.toml, line 2: unknown field `alow`"),
        "{says}"
    );
}

/// The values of secrets are for no repository.
#[test]
fn secrets_that_git_would_commit_are_refused() {
    let project = Project::bare("secretive", "fn main() {}");
    project.write("webtask.toml", "secrets = ['api-key']\n");
    project.write(".env", "api-key=CANARY\n");
    if !git(project.path(), &["init", "-q"]) {
        eprintln!("not tested: there is no git");
        return;
    }
    let dev = || {
        let refused = project
            .webtask(&["dev", "--listen", "127.0.0.1:0"])
            .output()
            .expect("it starts");
        let (exit, says) = failure(&refused);
        assert!(exit == 1 && !says.contains("CANARY"), "{says}");
        says
    };
    let says = dev();
    assert!(
        says.contains("git would take it") && says.contains("echo .env >> .gitignore"),
        "{says}"
    );
    // Tracked is worse than not ignored.
    assert!(git(project.path(), &["add", "-f", ".env"]));
    project.write(".gitignore", ".env\n");
    assert!(dev().contains("git rm --cached .env"));
    // Under another name of the same file, too.
    std::os::unix::fs::symlink(project.path().join(".env"), project.path().join("env-link"))
        .expect("a link");
    project.write(".gitignore", ".env\nenv-link\n");
    let linked = project
        .webtask(&["dev", "--env-file", "env-link"])
        .output()
        .expect("it starts");
    assert!(failure(&linked).1.contains("git would take it"));

    // Ignored: what is wrong is said with its line, and never with a value.
    assert!(git(project.path(), &["rm", "-q", "--cached", ".env"]));
    project.write(".env", "# a comment\napi-key='CANARY\n");
    assert!(dev().contains(".env, line 2: the ' is not closed"));
    project.write(".env", "other=CANARY\n");
    let says = dev();
    assert!(
        says.contains("the secret api-key has no value") && says.contains("api-key=VALUE in"),
        "{says}"
    );
    assert!(
        says.contains("has other, which the webtask does not get"),
        "{says}"
    );
}

#[test]
fn dev_listens_on_loopback_only() {
    let project = Project::bare("open", "fn main() {}");
    for address in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"] {
        let refused = project
            .webtask(&["dev", "--listen", address])
            .output()
            .expect("it starts");
        let (exit, says) = failure(&refused);
        assert!(
            exit == 2 && says.contains("listens on loopback only"),
            "{says}"
        );
    }
}
