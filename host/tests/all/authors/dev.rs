//! `webtask dev` in a terminal: from an empty folder to a live URL, to the next save, to its end.

use std::{fs, path::Path, time::Instant};

use super::{
    project::{Project, call},
    terminal::{SOON, Terminal},
};

const HERE: &str = "host: localhost\r\n";

fn get(url: &str, path: &str) -> (u16, String) {
    call(url, "GET", path, HERE, "")
}

/// The URL of a line `serving http://127.0.0.1:1234`.
fn url(line: &str) -> String {
    line.trim()
        .strip_prefix("serving ")
        .expect("a URL")
        .to_owned()
}

#[test]
fn an_author_goes_from_an_empty_folder_to_a_live_url_and_sees_each_save() {
    let began = Instant::now();
    let project = Project::new("greeter", "hello");
    let terminal = Terminal::run(&project.webtask(&["dev", "--listen", "127.0.0.1:0"]));
    let (seen, line) = terminal.sees("serving http://", 0);
    let url = url(&line);
    let first = began.elapsed();

    // Each request is a line, and so is what the webtask logs.
    assert_eq!(get(&url, "/Ada"), (200, "Hello, Ada!\n".to_owned()));
    let (_, line) = terminal.sees("greeting Ada", seen);
    assert_eq!(line, "info greeter: greeting Ada");
    let (seen, line) = terminal.sees("GET /Ada", seen);
    assert!(
        line.starts_with("GET /Ada 200 ") && line.ends_with(" ms"),
        "{line}"
    );
    assert_eq!(
        terminal.raw().contains("\u{1b}[32m200"),
        terminal.is_real(),
        "colours are for terminals"
    );

    // A save is live.
    let saved = Instant::now();
    project.replace("src/main.rs", "{greeting}, {name}!", "{greeting}, {name}?");
    let (seen, line) = terminal.sees("live in", seen);
    let next = saved.elapsed();
    assert!(line.contains("src/main.rs (build "), "{line}");
    assert_eq!(get(&url, "/Ada").1, "Hello, Ada?\n");
    eprintln!("new project to live URL {first:?}, save to new answer {next:?}; it says: {line}");

    failures_are_shown(&project, &terminal, &url, seen);
    assert_eq!(terminal.interrupt(), Some(0));
}

/// What goes wrong in a build, and in a run; and what is not code.
fn failures_are_shown(project: &Project, terminal: &Terminal, url: &str, seen: usize) {
    // A build that fails is shown, and leaves the one before it serving.
    project.replace("src/main.rs", "use webtask::{", "use webtask::{Nonsense, ");
    let (seen, _) = terminal.sees("no `Nonsense`", seen);
    let (seen, _) = terminal.sees("the build before it goes on serving", seen);
    assert_eq!(get(url, "/Ada").1, "Hello, Ada?\n");

    // Nothing but webtask.toml.
    project.replace("src/main.rs", "Nonsense, ", "");
    let (seen, _) = terminal.sees("live in", seen);
    project.replace(
        "webtask.toml",
        "greeting = \"Hello\"",
        "greeting = \"Ahoy\"",
    );
    let (seen, line) = terminal.sees("live in", seen);
    assert!(line.contains("webtask.toml"), "{line}");
    assert_eq!(get(url, "/Ada").1, "Ahoy, Ada?\n");

    // A trap, with the line of the source that it is of.
    project.replace(
        "src/main.rs",
        "    log::info!(",
        "    assert!(name.len() < 9, \"too long\");\n    log::info!(",
    );
    let (seen, _) = terminal.sees("live in", seen);
    assert_eq!(get(url, "/Charles-Babbage").0, 500);
    let (seen, _) = terminal.sees("webtask: backtrace:", seen);
    let (seen, line) = terminal.sees("src/main.rs:10:", seen);
    assert!(line.contains("main"), "{line}");
    let (_, line) = terminal.sees("GET /Charles-Babbage", seen);
    assert!(
        line.starts_with("GET /Charles-Babbage 500 guest-trap "),
        "{line}"
    );
    assert!(terminal.text().contains("too long"), "{}", terminal.text());
}

/// Whoever is on this machine needs no token, so nobody else may ask through a browser that is.
#[test]
fn pages_of_elsewhere_do_not_reach_dev() {
    let project = Project::new("elsewhere", "hello");
    let terminal = Terminal::run(&project.webtask(&["dev", "--listen", "127.0.0.1:0"]));
    let (seen, line) = terminal.sees("serving http://", 0);
    let url = url(&line);
    let port = url.rsplit(':').next().expect("a port");
    let rebound = format!("host: evil.example:{port}\r\n");
    let here = format!("host: 127.0.0.1:{port}\r\n");
    for (fields, status) in [
        (here.clone(), 200),
        (format!("{here}origin: http://localhost:5173\r\n"), 200),
        (format!("{here}origin: https://evil.example\r\n"), 403),
        (format!("{here}origin: null\r\n"), 403),
        (format!("{here}sec-fetch-site: cross-site\r\n"), 403),
        (rebound.clone(), 403),
        (format!("{rebound}sec-fetch-site: same-origin\r\n"), 403),
        (String::new(), 403),
        // Not that the token of another would count.
        (
            format!("{here}webtask-token: wt1.x.y.z\r\nauthorization: Bearer wt1.x.y.z\r\n"),
            200,
        ),
    ] {
        assert_eq!(
            call(&url, "POST", "/Ada", &fields, "").0,
            status,
            "{fields}"
        );
    }
    let (_, line) = terminal.sees("refused", seen);
    assert!(line.contains("a page of another site called"), "{line}");
    // Neither is there a way to the runtime's own interface.
    assert_eq!(
        call(&url, "POST", "/v1/tokens", &here, "{}").1,
        "Hello, v1/tokens!\n"
    );
    assert_eq!(terminal.interrupt(), Some(0));
}

/// What ends leaves no compiler behind, wherever the end comes from.
#[test]
fn ctrl_c_ends_the_compilers_too() {
    let project = Project::bare("slow", "fn main() {}");
    // In the place of a build that takes long.
    let pid = project.path().join("pid");
    let script = format!(
        "fn main() {{ std::fs::write({pid:?}, std::process::id().to_string()).unwrap(); \
         std::thread::sleep(std::time::Duration::from_secs(3600)); }}"
    );
    project.write("build.rs", &script);
    let terminal = Terminal::run(&project.webtask(&["dev", "--listen", "127.0.0.1:0"]));
    let until = Instant::now() + SOON;
    let builds = loop {
        match fs::read_to_string(&pid) {
            Ok(pid) if !pid.is_empty() => break pid,
            _ => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
        assert!(Instant::now() < until, "{}", terminal.text());
    };
    let process = Path::new("/proc").join(&builds);
    assert!(process.exists());
    assert_eq!(terminal.interrupt(), Some(0));
    while runs(&process) {
        assert!(Instant::now() < until, "the build goes on");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Whether a process is there and more than what nobody has asked the exit status of.
fn runs(process: &Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}
