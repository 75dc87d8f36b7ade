//! What the structure promises: one error mapping, one table, guests that are all used.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_the_error_mapping_names_a_status() {
    let mut files = Vec::new();
    rust_files(&root().join("host/src"), &mut files);
    for file in files {
        let named = fs::read_to_string(&file)
            .expect("a file")
            .contains("StatusCode");
        assert!(
            !named || file.ends_with("error.rs") || file.ends_with("error/guest.rs"),
            "{} names StatusCode",
            file.display()
        );
    }
}

/// Trap 16: native code becomes executable in one place, which says why it may.
#[test]
fn trap_16_unsafe_stands_in_one_module() {
    let mut files = Vec::new();
    for dir in [
        "host/src",
        "host/token/src",
        "host/tests",
        "host/benches",
        "tests/all",
        "tests/bench",
        "tests/src",
    ] {
        rust_files(&root().join(dir), &mut files);
    }
    // In pieces, so that this file is not found.
    let words = [
        ["uns", "afe {"].concat(),
        ["uns", "afe_code"].concat(),
        ["Component::des", "erialize"].concat(),
    ];
    files.retain(|file| {
        let text = fs::read_to_string(file).expect("a file");
        words.iter().any(|word| text.contains(word))
    });
    assert!(
        files.len() == 1 && files[0].ends_with("host/src/compile/code.rs"),
        "{files:?}"
    );
    // Forbidden cannot be allowed again, denied can: so each package but the host's forbids.
    let manifest = |path: &str| read(path).contains(&format!("{} = \"forbid\"", words[1]));
    assert!(
        manifest("Cargo.toml")
            && manifest("tests/Cargo.toml")
            && read("host/Cargo.toml").contains(&format!("{} = \"deny\"", words[1]))
    );
}

#[test]
fn the_library_knows_nothing_of_the_command_line() {
    let mut files = Vec::new();
    rust_files(&root().join("host/src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("a file");
        let shell = file.ends_with("main.rs") || file.iter().any(|part| part == "cli");
        for name in ["clap::", "tracing_subscriber::"] {
            assert!(
                shell || !text.contains(name),
                "{} uses {name}",
                file.display()
            );
        }
    }
}

/// README.md shows each code with the status and blame that the host answers with.
#[test]
fn the_error_table_of_the_readme_is_the_one_of_the_code() {
    let rows =
        |found: &mut BTreeMap<String, (String, String)>, code: &str, status: &str, blame: &str| {
            found.insert(code.to_owned(), (status.to_owned(), blame.to_lowercase()));
        };
    let mut in_code = BTreeMap::new();
    let files = ["host/src/error.rs", "host/src/error/guest.rs"];
    let source: String = files
        .map(read)
        .concat()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    for row in source
        .split("Row( StatusCode::")
        .skip(1)
        .chain(source.split("Row(StatusCode::").skip(1))
    {
        let mut fields = row.split(',').map(str::trim);
        let (Some(status), Some(code), Some(blame)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        rows(
            &mut in_code,
            code.trim_matches('"'),
            status_of(status),
            blame,
        );
    }
    let mut in_readme = BTreeMap::new();
    for line in read("README.md").lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", code, status, blame, ..] = cells[..]
            && code.starts_with('`')
            && status.parse::<u16>().is_ok()
        {
            rows(&mut in_readme, code.trim_matches('`'), status, blame);
        }
    }
    assert!(in_code.len() > 15, "{in_code:?}");
    assert_eq!(in_code, in_readme);
}

fn status_of(name: &str) -> &'static str {
    match name {
        "BAD_GATEWAY" => "502",
        "BAD_REQUEST" => "400",
        "FORBIDDEN" => "403",
        "GATEWAY_TIMEOUT" => "504",
        "INTERNAL_SERVER_ERROR" => "500",
        "NOT_FOUND" => "404",
        "PAYLOAD_TOO_LARGE" => "413",
        "REQUEST_HEADER_FIELDS_TOO_LARGE" => "431",
        "SERVICE_UNAVAILABLE" => "503",
        "TOO_MANY_REQUESTS" => "429",
        "UNAUTHORIZED" => "401",
        other => panic!("the test does not know StatusCode::{other}"),
    }
}

/// A guest that no test runs is no test.
#[test]
fn every_guest_is_used() {
    let mut files = Vec::new();
    rust_files(&root().join("tests/all"), &mut files);
    rust_files(&root().join("host/tests/all"), &mut files);
    let tests: String = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a file"))
        .collect();
    for (name, _) in webtask_tests::ALL {
        let constant = format!("::{}", name.to_uppercase().replace('-', "_"));
        assert!(
            tests.contains(&constant) || tests.contains(&format!("{name:?}")),
            "no test uses {name}"
        );
    }
}

/// Cargo writes both packages' programs into one directory: of two with one name, one is not what it is taken for.
#[test]
fn no_guest_has_the_name_of_an_example() {
    let mut names: Vec<_> = webtask_tests::ALL
        .iter()
        .map(|(name, path)| (name, path.contains("/p3/")))
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{names:?}");
}

/// A table of SECURITY.md that names a test that is not there is worth nothing.
#[test]
fn every_test_that_security_names_is_there() {
    let mut files = Vec::new();
    for dir in ["host", "tests", "guest-sdk"] {
        rust_files(&root().join(dir), &mut files);
    }
    let sources: String = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a file"))
        .collect();
    let mut named = 0;
    for line in read("SECURITY.md").lines() {
        let Some((_, tests)) = line.trim_end_matches(['|', ' ']).rsplit_once('|') else {
            continue;
        };
        // Between the marks: every second piece.
        for name in tests.split('`').skip(1).step_by(2) {
            let of_a_test =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if name.contains('_') && name.bytes().all(of_a_test) {
                assert!(sources.contains(&format!("fn {name}(")), "{name}: {line}");
                named += 1;
            }
        }
    }
    assert!(named > 100, "{named}");
}
