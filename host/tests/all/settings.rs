//! `webtask config`, and what `serve` says of a configuration that cannot be.

use std::{fs, path::Path};

use crate::common::{Running, failure, keyring, run, stdout, text};

fn written(dir: &Path, toml: &str) -> String {
    let file = dir.join("webtask.toml");
    fs::write(&file, toml).expect("a file");
    text(&file).to_owned()
}

#[test]
fn check_says_what_is_opened_and_serve_takes_what_it_passed() {
    let (dir, keys) = keyring();
    let base = format!("keys = {keys:?}\nlisten = '127.0.0.1:0'\n");
    let good = written(
        dir.path(),
        &format!(
            "{base}allow-code = ['https://code.example.com/']\n[tenants.acme]\nrate = 100\nlimits.memory = '8MiB'\n"
        ),
    );
    let said = stdout(&run(&["config", "check", &good]));
    assert_eq!(said, format!("{good} can be served"));
    drop(Running::start(&["serve", "--config", &good], "listening"));

    let open = written(
        dir.path(),
        &format!(
            "keys = {keys:?}\nlisten = '0.0.0.0:8080'\nallow-private = ['10.0.0.0/8']\nallow-code = ['http://']\n[limits]\ninvocations = 100\n[tenants.none]\nallow-code = []\n"
        ),
    );
    let said = stdout(&run(&["config", "check", &open]));
    for part in [
        "0.0.0.0",
        "10.0.0.0/8",
        "clear text",
        "tenant-invocations",
        "[tenants.none]",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_its_line_and_what_was_meant() {
    let (dir, keys) = keyring();
    for (toml, parts) in [
        (
            "\n[limits]\nmemroy = '8MiB'\n",
            ["line 3", "did you mean \"memory\"?"],
        ),
        (
            "[tenants.a]\nallow-cod = []\n",
            ["line 2", "did you mean \"allow-code\"?"],
        ),
        (
            "[tenants.a.limits]\nmemory = '1GiB'\n",
            ["1073741824", "67108864"],
        ),
        ("allow-code = 1\n", ["line 1", "expected"]),
    ] {
        let file = written(dir.path(), toml);
        for args in [
            vec!["config", "check", &file],
            vec!["serve", "--keys", &keys, "--config", &file],
        ] {
            let (status, error) = failure(&run(&args));
            assert_eq!(status, 1, "{error}");
            for part in parts {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }
    let (status, error) = failure(&run(&["config", "check", "no-such-file.toml"]));
    assert!(
        status == 2 && error.contains("no-such-file.toml"),
        "{error}"
    );
}

#[test]
fn the_printed_defaults_can_be_served() {
    let (dir, _) = keyring();
    let defaults = stdout(&run(&["config", "default"]));
    assert!(defaults.contains("memory = \"64MiB\""), "{defaults}");
    let file = written(dir.path(), &defaults);
    stdout(&run(&["config", "check", &file]));
}

#[test]
fn check_reads_mirrors_and_credentials_of_registries() {
    let (dir, keys) = keyring();
    let with = |toml: &str| written(dir.path(), &format!("keys = {keys:?}\n{toml}"));
    for (toml, part) in [
        ("code-mirror = ['https://a.test/']\n", "FROM=TO"),
        (
            "registry-auth = 'no-such-registries.json'\n",
            "no-such-registries.json",
        ),
    ] {
        let (_, error) = failure(&run(&["config", "check", &with(toml)]));
        assert!(error.contains(part), "{part}: {error}");
    }
    let good = with("code-mirror = ['https://a.test/=https://b.test/ only']\n");
    stdout(&run(&["config", "check", &good]));
}
