//! Vectors of issuer tokens.

use serde_json::{Value, json};

use crate::cases::{Entries, NOW, link, vector};
use crate::writer::{Item, link_id, tails, text, texts, with_tail};
use Item::{Array, Bytes, Map, Number, Raw};

const EXP: u64 = NOW + 3_600;

fn ceiling() -> Entries {
    vec![
        ("life", Number(600)),
        ("urls", texts(&["https://code.example.com/tasks/*"])),
    ]
}

fn claims(ceiling: Item) -> Entries {
    vec![
        ("exp", Number(EXP)),
        ("iat", Number(NOW)),
        ("kind", text("issue")),
        ("issue", ceiling),
    ]
}

pub(crate) fn all() -> Vec<(String, Value)> {
    let accept = |name: &str, about: &str, claims: Entries, issue: Value| {
        let link = link(&claims);
        let expect = json!({
            "claims": { "exp": EXP, "iat": NOW, "ten": "default", "kind": "issue", "issue": issue },
            "kid": "k1",
            "links": [link_id(&tails(&link, &[])[0])],
        });
        (
            format!("accept-issue-{name}"),
            vector(about, NOW, &with_tail(&link, &[]), expect),
        )
    };
    let full = vec![
        (
            "lim",
            Map(vec![("rate", Number(60)), ("memory", Number(1 << 26))]),
        ),
        (
            "out",
            Array(vec![Array(vec![
                texts(&["*"]),
                text("https://*.example.com"),
                text("/*"),
            ])]),
        ),
        ("via", texts(&["path"])),
        ("life", Number(86_400)),
        (
            "urls",
            texts(&[
                "file:///srv/*",
                "https://code.example.com/a.wasm",
                "http://127.0.0.1:8000/*",
                "oci://registry.example.com/team/*",
            ]),
        ),
        ("params", texts(&["user", "a.b"])),
        ("secrets", texts(&["*"])),
        ("unpinned", Raw(vec![0xF5])),
    ];
    let mut cases = vec![
        accept(
            "minimal",
            "an issuer token for pinned code below one prefix",
            claims(Map(ceiling())),
            json!({ "life": 600, "urls": ["https://code.example.com/tasks/*"] }),
        ),
        accept(
            "everything",
            "every key of a ceiling",
            claims(Map(full)),
            json!({
                "lim": { "rate": 60, "memory": 1 << 26 }, "out": ["* https://*.example.com/*"], "via": ["path"],
                "life": 86_400, "urls": ["file:///srv/*", "https://code.example.com/a.wasm", "http://127.0.0.1:8000/*", "oci://registry.example.com/team/*"],
                "params": ["user", "a.b"], "secrets": ["*"], "unpinned": true,
            }),
        ),
    ];
    let with = |at: usize, key: &'static str, item: Item| {
        let mut claims = claims(Map(ceiling()));
        claims.insert(at, (key, item));
        claims
    };
    let edit = |edit: &dyn Fn(&mut Entries)| {
        let mut ceiling = ceiling();
        edit(&mut ceiling);
        claims(Map(ceiling))
    };
    let rejected = [
        (
            "url",
            "an issuer token has no code",
            with(2, "url", text("https://h.test/a")),
        ),
        ("url-empty", "nor an empty URL", with(2, "url", text(""))),
        (
            "sha256",
            "an issuer token has no code",
            with(4, "sha256", Bytes(vec![0; 32])),
        ),
        (
            "secrets",
            "an issuer token gives no secrets",
            with(4, "secrets", Map(vec![("s", text("v"))])),
        ),
        (
            "params",
            "an issuer token gives no parameters",
            with(4, "params", Map(vec![("p", text("v"))])),
        ),
        (
            "out",
            "an issuer token sends nothing",
            with(
                2,
                "out",
                Array(vec![Array(vec![
                    texts(&["*"]),
                    text("https://h.test"),
                    text("/*"),
                ])]),
            ),
        ),
        (
            "via",
            "an issuer token stands in headers only",
            with(2, "via", texts(&["path"])),
        ),
        (
            "iss",
            "no issuer token is minted",
            with(2, "iss", Array(vec![Bytes(vec![1; 16])])),
        ),
        (
            "lim",
            "an issuer token uses nothing but calls a minute",
            with(2, "lim", Map(vec![("cpu", Number(1))])),
        ),
        ("kind-run", "one kind has a name", {
            let mut claims = claims(Map(ceiling()));
            claims[2].1 = text("run");
            claims
        }),
        ("not-a-map", "a ceiling is a map", claims(Array(vec![]))),
        (
            "life-missing",
            "every life ends",
            edit(&|c| drop(c.remove(0))),
        ),
        (
            "life-0",
            "a life is a second or more",
            edit(&|c| c[0].1 = Number(0)),
        ),
        (
            "life-long",
            "no time is after the year 9999",
            edit(&|c| c[0].1 = Number(253_402_300_800)),
        ),
        (
            "urls-missing",
            "code comes from somewhere",
            edit(&|c| drop(c.remove(1))),
        ),
        (
            "urls-empty",
            "code comes from somewhere",
            edit(&|c| c[1].1 = Array(vec![])),
        ),
        (
            "urls-host-prefix",
            "a prefix that ends in the host covers other hosts",
            edit(&|c| c[1].1 = texts(&["https://code.example.com*"])),
        ),
        (
            "urls-any",
            "a URL has an origin",
            edit(&|c| c[1].1 = texts(&["*"])),
        ),
        (
            "urls-dots",
            "a prefix is plain",
            edit(&|c| c[1].1 = texts(&["https://h.test/a/../*"])),
        ),
        (
            "urls-oci-wildcard",
            "code comes from named registries",
            edit(&|c| c[1].1 = texts(&["oci://*.example.com/*"])),
        ),
        (
            "urls-wildcard",
            "code comes from named hosts",
            edit(&|c| c[1].1 = texts(&["https://*.example.com/*"])),
        ),
        (
            "unpinned-false",
            "a default is encoded as absence",
            edit(&|c| c.push(("unpinned", Raw(vec![0xF4])))),
        ),
        (
            "unpinned-1",
            "true is true",
            edit(&|c| c.push(("unpinned", Number(1)))),
        ),
        (
            "params-empty",
            "nothing is encoded as absence",
            edit(&|c| c.push(("params", Array(vec![])))),
        ),
        (
            "params-star",
            "* stands alone",
            edit(&|c| c.push(("params", texts(&["*", "a"])))),
        ),
        (
            "secrets-name",
            "a name is a name",
            edit(&|c| c.push(("secrets", texts(&["a b"])))),
        ),
        (
            "lim-empty",
            "nothing is encoded as absence",
            edit(&|c| c.insert(0, ("lim", Map(vec![])))),
        ),
        (
            "out-empty",
            "nothing is encoded as absence",
            edit(&|c| c.insert(0, ("out", Array(vec![])))),
        ),
        (
            "via-unknown",
            "an unknown carrier",
            edit(&|c| c.insert(0, ("via", texts(&["cookie"])))),
        ),
        (
            "key-unknown",
            "an unknown key may be a restriction",
            edit(&|c| c.insert(0, ("aud", text("x")))),
        ),
        ("key-order", "keys are in order", edit(&|c| c.swap(0, 1))),
    ];
    for (name, why, claims) in rejected {
        let vector = vector(
            why,
            NOW,
            &with_tail(&link(&claims), &[]),
            json!({ "error": "Malformed" }),
        );
        cases.push((format!("reject-issue-{name}"), vector));
    }
    cases
}
