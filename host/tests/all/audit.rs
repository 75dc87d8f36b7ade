//! `webtask audit`, and the audit in `webtask token create`: what platform owners read before anything runs.

mod code;

use std::fs;

use serde_json::{Value, json};
use webtask_host::audit::{Needs, Policy};
use webtask_tests::{ALL, examples};
use wit_parser::Resolve;

use crate::common::{failure, keyring, run, stdout, text};

const CANARY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

const SLOT: &str = "key=POST https://api.stripe.com/v1/charges authorization: Bearer {}";

/// What a command that must succeed prints; no value is in it.
fn said(args: &[&str]) -> String {
    let output = run(args);
    assert!(!format!("{output:?}").contains(CANARY), "{output:?}");
    stdout(&output)
}

/// Any tool that reads WIT reads this, by itself.
fn parses(wit: &str) -> Resolve {
    let mut resolve = Resolve::default();
    let parsed = resolve.push_source("world.wit", wit);
    assert!(parsed.is_ok(), "{parsed:?}: {wit}");
    assert_eq!(
        resolve
            .worlds
            .iter()
            .filter(|(_, world)| !world.imports.is_empty())
            .count(),
        1
    );
    resolve
}

fn create(keys: &str, more: &[&str]) -> String {
    stdout(&run(&[&["token", "create", "--keys", keys], more].concat()))
}

#[test]
fn the_world_of_every_component_parses_alone() {
    for (name, path) in ALL {
        let wasm = fs::read(path).expect("the component is built");
        let needs = Needs::of(&wasm).expect("a component");
        assert!(
            needs.refusals().is_empty(),
            "{name}: {:?}",
            needs.refusals()
        );
        let resolve = parses(&needs.to_wit(name));
        let (_, world) = resolve
            .worlds
            .iter()
            .find(|(_, world)| world.name == "component")
            .expect("the world");
        assert_eq!(world.imports.len(), needs.imports.len(), "{name}");
        assert_eq!(world.exports.len(), needs.exports.len(), "{name}");
    }
}

#[test]
fn a_component_is_told_in_the_words_of_a_platform_owner() {
    let world = said(&["audit", examples::CHARGE]);
    for part in [
        "/// What charge.wasm needs.",
        "// Needed: a token has to grant it.\n  /// Sends requests to other servers",
        "import wasi:http/outgoing-handler@0.2.12;",
        "/// Needs the secret \"api-key\", readable or bound.",
        "// Always there, within limits.",
        "// No power: types, and what language runtimes import and find empty.",
        "/// Serves HTTP.\n  export wasi:http/incoming-handler@0.2.12;",
    ] {
        assert!(world.contains(part), "{part} is not in {world}");
    }
    assert!(!said(&["audit", examples::HELLO]).contains("Needed:"));
}

#[test]
fn a_token_is_told_without_a_value_and_its_world_is_a_policy() {
    let (_dir, keys) = keyring();
    let token = create(
        &keys,
        &[
            "--url",
            examples::CHARGE,
            "--tenant",
            "acme",
            "--via",
            "path",
            "--expires",
            "365d",
            "--secret",
            &format!("key={CANARY}"),
            "--bind",
            SLOT,
            "--secret",
            &format!("plain={CANARY}"),
            "--allow",
            "POST https://api.stripe.com/v1/charges",
            "--allow",
            "* http://10.1.2.3/*",
            "--param",
            &format!("user={CANARY}"),
            "--limit",
            "memory=32MiB",
        ],
    );
    let world = said(&["audit", "--keys", &keys, &token]);
    for part in [
        "tenant acme",
        "/// (!) It lives for 365 days.",
        "/// (!) It may stand in a URL",
        "/// (!) Any method is allowed to http://10.1.2.3/*.",
        "/// (!) 10.1.2.3 is not of the public internet",
        "/// limit: memory=32MiB\n",
        "May send POST to https://api.stripe.com/v1/charges with secret \"key\", which the code cannot read",
        "/// Can read secret \"plain\", and may send it wherever it may send anything.",
        "/// allow: POST https://api.stripe.com/v1/charges\n",
        &format!("/// bind: {SLOT}\n"),
        "/// secret: plain\n",
        "/// Has \"user\".",
    ] {
        assert!(world.contains(part), "{part} is not in {world}");
    }
    parses(&world);
    Policy::parse("token.wit", &world).expect("a policy");
    assert!(!world.contains(&token));
}

#[test]
fn what_holders_wrote_cannot_forge_a_line() {
    let (_dir, keys) = keyring();
    let token = create(&keys, &["--url", examples::HELLO]);
    let note = "ok\n/// allow: *\n} */ \u{202e}\u{1b}[2J\u{149} import x;\r";
    let noted = stdout(&run(&["token", "attenuate", &token, "--note", note]));
    let world = said(&["audit", "--keys", &keys, &noted]);
    parses(&world);
    Policy::parse("token.wit", &world).expect("a policy");
    let plain = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
    assert!(world.chars().all(plain), "{world}");
    let lines = |text: &str| world.lines().filter(|line| line.trim() == text).count();
    assert_eq!(lines("/// allow: *") + lines("import x;"), 0, "{world}");
}

#[test]
fn a_component_and_a_token_are_held_against_each_other() {
    let (dir, keys) = keyring();
    let empty = create(&keys, &["--url", examples::CHARGE]);
    let output = run(&["audit", "--keys", &keys, examples::CHARGE, &empty]);
    let (status, stderr) = failure(&output);
    assert!(
        status == 1 && stderr.contains("needs more than it is granted"),
        "{stderr}"
    );
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains("--allow 'METHODS URL'") && printed.contains("--secret-env"),
        "{printed}"
    );

    let full = create(
        &keys,
        &[
            "--url",
            examples::CHARGE,
            "--secret",
            "api-key=v",
            "--allow",
            "GET https://h.test/",
        ],
    );
    let path = dir.path().join("token.txt");
    fs::write(&path, format!("{full}\n")).expect("a file");
    let printed = said(&["audit", "--keys", &keys, text(&path), examples::CHARGE]);
    assert!(
        printed.contains("needed and not granted:\n  nothing"),
        "{printed}"
    );
    // The same for its own code, which the token names.
    assert!(said(&["audit", "--keys", &keys, "--code", &full]).contains("not granted:\n  nothing"));
    let printed = said(&["audit", "--keys", &keys, &full, examples::HELLO]);
    assert!(
        printed.contains("outbound HTTP: GET to https://h.test/"),
        "{printed}"
    );
    assert!(printed.contains("secret \"api-key\""), "{printed}");

    let printed = said(&["audit", "--keys", &keys, "--json", &full, examples::HELLO]);
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed["comparison"]["fits"], json!(true));
    assert_eq!(printed["comparison"]["unused"][0]["power"], "outbound HTTP");
    assert_eq!(printed["subjects"][0]["kind"], "token");
    assert_eq!(
        printed["subjects"][0]["secrets"],
        json!({"api-key": {"readable": true, "slots": []}})
    );
    assert_eq!(printed["subjects"][1]["kind"], "component");
    assert_eq!(printed["subjects"][1]["runs"], json!(true));
    parses(printed["subjects"][1]["wit"].as_str().expect("text"));
}

#[test]
fn code_that_names_its_secrets_needs_each_of_them() {
    let (_dir, keys) = keyring();
    let (_, needy) = ALL
        .iter()
        .find(|(name, _)| *name == "needs")
        .expect("the guest that names secrets");
    let wasm = fs::read(needy).expect("built");
    let names = Needs::of(&wasm).expect("a component").secrets;
    assert!(!names.is_empty());
    let token = create(&keys, &["--url", needy]);
    let output = run(&["audit", "--keys", &keys, needy, &token]);
    assert_eq!(failure(&output).0, 1);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in &names {
        assert!(
            printed.contains(&format!("--secret-env {name}")),
            "{printed}"
        );
    }
}

#[test]
fn two_of_a_kind_are_told_apart() {
    let (_dir, keys) = keyring();
    let printed = said(&["audit", examples::CHARGE, "--against", examples::HELLO]);
    let (here, there) = printed.split_once("only hello.wasm:").expect("two lists");
    assert!(
        here.contains("imports wasi:http/outgoing-handler@0.2.12 (outbound HTTP)"),
        "{here}"
    );
    assert!(!there.contains("outgoing-handler"), "{there}");
    let wide = create(
        &keys,
        &["--url", examples::HELLO, "--allow", "GET https://h.test/*"],
    );
    let narrow = stdout(&run(&[
        "token",
        "attenuate",
        &wide,
        "--allow",
        "GET https://h.test/a",
        "--method",
        "GET",
    ]));
    let printed = said(&["audit", "--keys", &keys, &wide, "--against", &narrow]);
    let (here, there) = printed.rsplit_once("only token").expect("two lists");
    assert!(here.contains("May send GET to https://h.test/*."), "{here}");
    assert!(
        there.contains("May send GET to https://h.test/a.")
            && there.contains("Serves GET requests."),
        "{there}"
    );
    for (args, status) in [
        (
            vec![
                "audit",
                "--keys",
                &keys,
                &wide,
                "--against",
                examples::HELLO,
            ],
            2,
        ),
        (vec!["audit", "--keys", &keys, &wide, &narrow], 2),
        (vec!["audit", &wide], 2),
        (vec!["audit", "no-such-file"], 2),
        (vec!["audit", &keys], 1),
        (vec!["audit", "--code", examples::HELLO], 2),
    ] {
        let (found, stderr) = failure(&run(&args));
        assert!(
            found == status && !stderr.contains("wt1."),
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn an_issuer_token_is_told_by_what_it_may_mint() {
    let (_dir, keys) = keyring();
    let issuer = create(
        &keys,
        &[
            "--issue",
            "--mint-url",
            "https://code.example.com/acme/*",
            "--mint-allow",
            "GET https://h.test/*",
            "--mint-secret",
            "*",
        ],
    );
    let world = said(&["audit", "--keys", &keys, &issuer]);
    for part in [
        "Runs nothing. Mints tokens for https://code.example.com/acme/* that grant at most this.",
        "/// allow: GET https://h.test/*\n",
        "Can read any secret",
        "/// secret: *\n",
    ] {
        assert!(world.contains(part), "{part} is not in {world}");
    }
    parses(&world);
}

#[test]
fn a_policy_that_is_not_understood_serves_nothing() {
    let (dir, keys) = keyring();
    let policy = dir.path().join("platform.wit");
    fs::write(
        &policy,
        "package a:b;\n/// limt: memory=1MiB\nworld policy {}\n",
    )
    .expect("a file");
    let base = ["serve", "--keys", &keys, "--listen", "127.0.0.1:0"];
    let (status, stderr) = failure(&run(
        &[base.as_slice(), &["--policy", text(&policy)]].concat()
    ));
    assert!(
        status == 1 && stderr.contains("platform.wit, line 2") && stderr.contains("limt"),
        "{stderr}"
    );
    // From the configuration file as well.
    let config = dir.path().join("webtask.toml");
    fs::write(&config, format!("policy = {:?}\n", text(&policy))).expect("a file");
    let (status, stderr) = failure(&run(
        &[base.as_slice(), &["--config", text(&config)]].concat()
    ));
    assert!(status == 1 && stderr.contains("line 2"), "{stderr}");
    let (status, _) = failure(&run(
        &[base.as_slice(), &["--policy", "no-such.wit"]].concat()
    ));
    assert_eq!(status, 2);
}

#[test]
fn the_policy_of_the_readme_is_one() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md"));
    let readme = readme.expect("a file");
    let mut blocks = readme.split("```wit\n").skip(1);
    let policy = blocks
        .find(|block| block.contains("world policy"))
        .expect("a policy");
    let policy = policy.split("```").next().expect("its end");
    let policy = Policy::parse("README.md", policy).expect("a valid policy");
    assert_eq!(policy.name(), "acme:platform/policy");
    assert!(policy.limits().memory == Some(32 << 20) && policy.limits().rate == Some(600));
}
