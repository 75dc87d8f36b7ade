//! What a policy allows, and that nothing of it is ignored.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use webtask_token::{Caveat, Claims, Keyring, Secret, attenuate};
use wit_parser::Resolve;

use super::*;
use crate::audit::Grants;

fn world(text: &str) -> String {
    format!("package a:b;\nworld policy {{\n{text}\n}}\n")
}

fn outbound(rules: &str) -> String {
    world(&format!(
        "{rules}\nimport wasi:http/outgoing-handler@0.2.0;"
    ))
}

fn refused(text: &str) -> String {
    Policy::parse("p.wit", text).unwrap_err().to_string()
}

#[test]
fn a_rule_that_is_not_understood_is_never_ignored() {
    for (text, why) in [
        (
            outbound("/// alow: GET https://h.test/"),
            "\"alow\" is no rule",
        ),
        (
            outbound("/// Allow: GET https://h.test/"),
            "\"Allow\" is no rule",
        ),
        (outbound("/// - deny: *"), "is no rule"),
        (outbound("/// allow GET https://h.test/"), "capital letter"),
        (outbound("/// allow: GET h.test"), "line 3: `allow`"),
        (outbound("/// secret: a"), "`secret` stands above"),
        (
            outbound("/// limit: memory=1MiB"),
            "`limit` stands above the world",
        ),
        (outbound("/// bind: key"), "expected NAME=METHOD"),
        (
            outbound("/// bind: a b=GET https://h.test/ a: {}"),
            "1 to 64",
        ),
        (outbound("/* x */"), "line 3: write comments with //"),
        (
            outbound("/** allow: GET https://h.test/ */"),
            "line 3: write comments",
        ),
        (
            world("/// allow: *\nimport wasi:clocks/wall-clock@0.2.0;"),
            "`allow` stands above",
        ),
        (world("/// allow: *"), "stands where it means nothing"),
        (
            world("import wasi:io/poll@0.2.0; /// allow: *"),
            "line 3: a doc comment begins its line",
        ),
        (
            "package a:b;\n/// limit: memory=1\nworld p {}".to_owned(),
            "line 2: `limit`",
        ),
        (
            "package a:b;\n/// limit: speed=1\nworld p {}".to_owned(),
            "line 2: `limit`",
        ),
        (
            "/// limit: memory=1MiB\npackage a:b;\nworld p {}".to_owned(),
            "line 1: the rule stands where",
        ),
        (
            "package a:b;\nworld p {}\n/// limit: memory=1MiB".to_owned(),
            "line 3: the rule stands where",
        ),
        (
            "package a:b;\nworld p {}\nworld q {}".to_owned(),
            "one world",
        ),
        ("package a:b;".to_owned(), "one world"),
        (
            "package a:b;\nworld p { include wasi:http/proxy@0.2.12; }".to_owned(),
            "includes another",
        ),
        (
            world("import wasi:keyvalue/store@0.2.0;"),
            "wasi:keyvalue/store@0.2.0, which this runtime does not have",
        ),
        (
            world("import wasi:http/outgoing-handler@0.9.0;"),
            "does not have",
        ),
        (
            world("import mine: interface {}"),
            "mine, which this runtime does not have",
        ),
        ("world".to_owned(), "is not WIT"),
        ("x".repeat(MAX_LEN + 1), "longer than 1 MiB"),
    ] {
        let said = refused(&text);
        assert!(
            said.contains(why) && said.contains("p.wit"),
            "{why} is not in {said}"
        );
    }
}

#[test]
fn what_is_commented_out_is_out() {
    let text = outbound(
        "// allow: *\n//// allow: *\n/// allow: GET https://h.test/*\n// Remarks: any.\n/// Some words.",
    );
    let policy = Policy::parse("p.wit", &text).unwrap();
    assert_eq!(policy.out().unwrap().len(), 1);
    assert_eq!(policy.name(), "a:b/policy");
    // The same text without its remarks, and with the stubs that the audit prints.
    let stubbed =
        format!("{text}\npackage wasi:http@0.2.0 {{\n interface outgoing-handler {{}}\n}}\n");
    assert_eq!(
        Policy::parse("p.wit", &stubbed).unwrap().out(),
        policy.out()
    );
}

#[test]
fn an_import_is_allowed_in_every_version_and_generation_or_in_none() {
    let text = outbound("").replace("import", "import wasi:clocks/system-clock@0.3.0;\nimport");
    let policy = Policy::parse("p.wit", &text).unwrap();
    for (import, allowed) in [
        ("wasi:http/outgoing-handler@0.2.12", true),
        ("wasi:http/client@0.3.0", true),
        ("wasi:clocks/wall-clock@0.2.0", true),
        ("wasi:clocks/monotonic-clock@0.2.0", false),
        ("webtask:runtime/secrets@0.1.0", false),
        ("wasi:filesystem/types@0.2.0", true),
        ("wasi:sockets/tcp@0.2.0", true),
        ("wasi:io/streams@0.2.0", true),
        ("wasi:http/types@0.3.0", true),
        // The linker takes these for the interfaces above; of the others nobody knows what it would make.
        ("webtask:runtime/secrets@0.1.0+x", false),
        ("wasi:random/random@0.2.0+x", false),
        ("wasi:keyvalue/store@0.2.0", false),
        ("not-an-interface", false),
    ] {
        assert_eq!(policy.refuses_import(import).is_none(), allowed, "{import}");
    }
}

fn secret(slots: &[&str]) -> SecretClaim {
    SecretClaim {
        value: Secret::new("value".to_owned()),
        slots: slots.iter().map(|slot| slot.parse().unwrap()).collect(),
    }
}

/// The slot decides whether the code can read the value: none may be lost but all of it.
#[test]
fn a_bound_secret_never_becomes_one_that_can_be_read() {
    let (one, other) = ("GET https://h.test/a a: {}", "GET https://h.test/b a: {}");
    let kept = |rules: &str, slots: &[&str]| {
        let policy = Policy::parse("p.wit", &outbound(rules)).unwrap();
        policy
            .keep("key", secret(slots))
            .map(|kept| kept.slots.len())
    };
    assert_eq!(kept("", &[one]), None);
    assert_eq!(
        kept("/// bind: key=GET https://h.test/* a: {}", &[one, other]),
        Some(2)
    );
    assert_eq!(
        kept("/// bind: key=GET https://h.test/a a: {}", &[one, other]),
        Some(1)
    );
    assert_eq!(
        kept("/// bind: other=GET https://h.test/* a: {}", &[one]),
        None
    );
    assert_eq!(
        kept("/// bind: key=GET https://h.test/a a: Bearer {}", &[one]),
        None
    );
    assert_eq!(kept("/// bind: *", &[one]), Some(1));
    assert_eq!(kept("/// bind: *", &[]), None);
    let readable = world("/// secret: key\nimport webtask:runtime/secrets@0.1.0;");
    let policy = Policy::parse("p.wit", &readable).unwrap();
    assert!(policy.keep("key", secret(&[])).unwrap().slots.is_empty());
    assert_eq!(policy.keep("key", secret(&[one])).unwrap().slots.len(), 1);
    assert!(policy.keep("other", secret(&[])).is_none());
}

/// A small generator: the same tokens in each run.
struct Dice(u64);

impl Dice {
    fn roll<'a, T>(&mut self, sides: &'a [T]) -> &'a T {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        &sides[usize::try_from(self.0 >> 33).unwrap() % sides.len()]
    }

    fn grants(&mut self) -> Vec<Grant> {
        const METHODS: [&str; 4] = ["*", "GET", "GET,POST", "POST,PUT"];
        const URLS: [&str; 8] = [
            "https://h.test/*",
            "https://h.test/v1/*",
            "https://h.test/v1/a",
            "https://*.h.test/*",
            "https://a.h.test/v1*",
            "http://h.test/*",
            "https://h.test:8443/",
            "http://10.0.0.1/*",
        ];
        let count = *self.roll(&[0, 1, 2, 3, 5]);
        let mut grant = || format!("{} {}", self.roll(&METHODS), self.roll(&URLS));
        (0..count).map(|_| grant().parse().unwrap()).collect()
    }
}

/// Many tokens: each world parses by itself, and as a policy allows what the token does, no more and
/// no less.
#[test]
fn the_world_of_any_token_is_a_policy_that_fits_it_exactly() {
    let keyring = Keyring::generate(None);
    let mut dice = Dice(4);
    for round in 0..300 {
        let mut claims = Claims::new("https://code.example.com/a.wasm?sig=x", 1_000);
        claims.out = dice.grants();
        const SLOTS: [&[&str]; 3] = [
            &[],
            &["GET https://h.test/v1/a a: {}"],
            &["POST https://h.test/* b: Bearer {}"],
        ];
        let slots = dice.roll(&SLOTS);
        if *dice.roll(&[true, false]) {
            claims.secrets.insert("s.1_-".to_owned(), secret(slots));
        }
        claims
            .params
            .insert("p".to_owned(), "\n*/ } /// allow: *".to_owned());
        let calls: &&str = dice.roll(&["0", "3"]);
        claims.lim.set("calls", calls).unwrap();
        let mut token = keyring.seal(&claims).unwrap();
        for _ in 0..*dice.roll(&[0, 1, 2]) {
            let caveat = Caveat {
                note: Some("\n/// allow: *\u{202e}*/ \u{149}ä\u{0}".to_owned()),
                out: Some(dice.grants()),
                methods: Some(vec![(*dice.roll(&["GET", "PUT"])).to_owned()]),
                ..Caveat::default()
            };
            token = attenuate(&token, &caveat).unwrap();
        }
        let opened = keyring.open(&token, 1_000).unwrap();
        let world = Grants::of(&opened).unwrap().to_wit();
        if let Err(error) = Resolve::default().push_source("t.wit", &world) {
            unreachable!("{error:#}: {world}");
        }
        assert!(
            !world.contains("value") && !world.contains("sig=x"),
            "{world}"
        );
        let policy = Policy::parse("t.wit", &world).unwrap();
        let rights = opened.rights();
        for (scheme, host, port) in [
            ("https", "h.test", 443),
            ("https", "a.h.test", 443),
            ("http", "h.test", 80),
            ("https", "h.test", 8443),
            ("http", "10.0.0.1", 80),
            ("https", "i.test", 443),
        ] {
            for path in ["/", "/v1/", "/v1/a", "/v1/b", "/v2"] {
                for method in ["GET", "POST", "PUT", "DELETE"] {
                    let by_token = rights.allows_outbound(method, scheme, host, port, path);
                    let mut rules = policy.out().unwrap().iter();
                    let by_policy = rules.any(|rule| rule.allows(method, scheme, host, port, path));
                    assert_eq!(
                        by_token, by_policy,
                        "{round}: {method} {scheme}://{host}:{port}{path} {world}"
                    );
                }
            }
        }
        assert_eq!(policy.limits().calls, claims.lim.calls);
    }
}
