//! Vectors of caveats: what they leave, what is no caveat, and what attenuating makes.

use serde_json::{Value, json};

use crate::cases::{Entries, NOW, edited, link, loose, minimal, vector};
use crate::writer::{Item, base64, link_id, tails, text, texts, with_tail};
use Item::{Array, Bytes, Map, Number, Raw};

const EXP: u64 = NOW + 3_600;
const PAGE: &str = "https://app.example.com";

pub(crate) fn all() -> Vec<(String, Value)> {
    let mut cases = accepted();
    cases.extend(rejected());
    cases.extend(attenuated());
    cases
}

fn encoded(caveat: &Entries) -> String {
    base64(&Map(caveat.clone()).encode())
}

/// Paths of requests, and whether `/v1/*` or `/a;v=1/b%20c` allows them.
const PATHS: [(&str, bool); 34] = [
    ("/a;v=1/b%20c", true),
    ("/a/b%20c", false),
    ("/v1/", true),
    ("/v1/.well-known", true),
    ("/v1/..a", true),
    ("/v1/a..", true),
    ("/v1/a;v=1/b", true),
    ("/v1/a..;/b", true),
    ("/v1/;v=1", true),
    ("/v1/a%20b%2Cc", true),
    ("/v1/%C3%A4%e2%82%ac", true),
    ("/v1/~!$&'()*+,:=@[]", true),
    ("/v1/..;/admin", false),
    ("/v1/.;/admin", false),
    ("/v1/..;v=1", false),
    ("/v1/...", false),
    ("/v1/;/admin", false),
    ("/v1/..%20/admin", false),
    ("/v1/%2e%2e/admin", false),
    ("/v1/a%2Fb", false),
    ("/v1/a%5cb", false),
    ("/v1/..%3b/admin", false),
    ("/v1/%252e%252e/admin", false),
    ("/v1/a%25", false),
    ("/v1/a%3Fb", false),
    ("/v1/a%23b", false),
    ("/v1/a%00", false),
    ("/v1/a%0d%0ab", false),
    ("/v1/a%7f", false),
    ("/v1/%c0%ae%c0%ae/admin", false),
    ("/v1/a%e0%80%afb", false),
    ("/v1/%ff", false),
    ("/v1/%C3", false),
    ("/v1/%u002e", false),
];

fn grant(methods: &[&str], origin: &str, path: &str) -> Item {
    Array(vec![texts(methods), text(origin), text(path)])
}

/// A token of `claims` with `caveats`, and what is expected beside claims, kid and links.
fn accept(
    name: &str,
    about: &str,
    claims: &Entries,
    said: Value,
    caveats: &[(Entries, Value)],
    expect: Value,
) -> (String, Value) {
    let link = link(claims);
    let texts: Vec<String> = caveats.iter().map(|(caveat, _)| encoded(caveat)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let links: Vec<String> = tails(&link, &texts).iter().map(|t| link_id(t)).collect();
    let mut all = json!({
        "claims": { "exp": EXP, "iat": NOW, "ten": "default", "url": "https://example.com/a.wasm" },
        "kid": "k1",
        "caveats": caveats.iter().map(|(_, json)| json.clone()).collect::<Vec<_>>(),
    });
    for (key, value) in said.as_object().unwrap() {
        all["claims"][key] = value.clone();
    }
    for (key, value) in expect.as_object().unwrap() {
        all[key] = value.clone();
        if let Some(rates) = all[key].get_mut("rates") {
            // Links are named by their place above.
            for rate in rates.as_array_mut().unwrap() {
                let place = usize::try_from(rate[0].as_u64().unwrap()).unwrap();
                rate[0] = json!(links[place]);
            }
        }
    }
    all["links"] = json!(links);
    (
        format!("accept-caveat-{name}"),
        vector(about, NOW, &with_tail(&link, &texts), all),
    )
}

fn accepted() -> Vec<(String, Value)> {
    let plain = |name, about, caveat: Entries, said: Value| {
        accept(
            name,
            about,
            &minimal(),
            json!({}),
            &[(caveat, said)],
            json!({}),
        )
    };
    let everything: Entries = vec![
        ("exp", Number(NOW + 60)),
        ("lim", Map(vec![("cpu", Number(5)), ("rate", Number(2))])),
        ("nbf", Number(NOW)),
        (
            "out",
            Array(vec![grant(&["GET"], "https://api.example.com", "/v1/*")]),
        ),
        ("note", text("für Ada")),
        ("path", text("/orders/*")),
        (
            "params",
            Map(vec![("u", text("42")), ("role", text("reader"))]),
        ),
        ("methods", texts(&["GET", "POST"])),
        ("origins", texts(&["http://localhost:3000", PAGE])),
    ];
    let everything_json = json!({
        "exp": NOW + 60, "nbf": NOW, "methods": ["GET", "POST"], "path": "/orders/*",
        "origins": ["http://localhost:3000", PAGE], "params": { "u": "42", "role": "reader" },
        "lim": { "cpu": 5, "rate": 2 }, "out": ["GET https://api.example.com/v1/*"], "note": "für Ada",
    });
    let note = |n: u64| -> (Entries, Value) {
        let n = format!("{n}");
        (vec![("note", text(&n))], json!({ "note": n }))
    };
    vec![
        plain(
            "note",
            "a caveat that only says something",
            vec![("note", text("a"))],
            json!({ "note": "a" }),
        ),
        plain(
            "note-256",
            "a note has at most 256 bytes",
            vec![("note", text(&"ü".repeat(128)))],
            json!({ "note": "ü".repeat(128) }),
        ),
        plain(
            "exp",
            "the last second",
            vec![("exp", Number(NOW + 1))],
            json!({ "exp": NOW + 1 }),
        ),
        plain(
            "exp-later",
            "an `exp` after that of the claims is no caveat on it, and no extension",
            vec![("exp", Number(253_402_300_799))],
            json!({ "exp": 253_402_300_799u64 }),
        ),
        plain(
            "nbf",
            "the first second",
            vec![("nbf", Number(NOW))],
            json!({ "nbf": NOW }),
        ),
        accept(
            "everything",
            "every key, in its order",
            &minimal(),
            json!({}),
            &[(everything, everything_json)],
            json!({
                "rights": {
                    "exp": NOW + 60, "nbf": NOW, "params": { "u": "42", "role": "reader" },
                    "lim": { "cpu": 5 }, "rates": [[1, 2]], "out": [[], ["GET https://api.example.com/v1/*"]],
                },
                "requests": [
                    ["GET", "/orders/7", PAGE, "ok"],
                    ["POST", "/orders/", "http://localhost:3000", "ok"],
                    ["HEAD", "/orders/7", PAGE, "method"],
                    ["get", "/orders/7", PAGE, "method"],
                    ["GET", "/orders", PAGE, "path"],
                    ["GET", "/orders/../admin", PAGE, "path"],
                    ["GET", "/orders//7", PAGE, "path"],
                    ["GET", "/orders/%2e%2e/admin", PAGE, "path"],
                    ["GET", "/orders/7", null, "origin"],
                    ["GET", "/orders/7", "null", "origin"],
                    ["GET", "/orders/7", "https://app.example.com:443", "origin"],
                    ["GET", "/orders/7", "https://app.example.com.evil.test", "origin"],
                    ["GET", "/orders/7", "http://app.example.com", "origin"],
                ],
                "outbound": [["GET", "https", "api.example.com", 443, "/v1/a", false]],
            }),
        ),
        accept(
            "sixteen",
            "as many caveats as there may be",
            &minimal(),
            json!({}),
            &(0..16).map(note).collect::<Vec<_>>(),
            json!({}),
        ),
        accept(
            "times",
            "the earliest end and the latest beginning, in whichever order",
            &edited(|c| c.insert(2, ("nbf", Number(NOW - 50)))),
            json!({ "nbf": NOW - 50 }),
            &[
                (
                    vec![("exp", Number(NOW + 10)), ("nbf", Number(NOW - 10))],
                    json!({ "exp": NOW + 10, "nbf": NOW - 10 }),
                ),
                (
                    vec![("exp", Number(NOW + 20)), ("nbf", Number(NOW - 20))],
                    json!({ "exp": NOW + 20, "nbf": NOW - 20 }),
                ),
            ],
            json!({ "rights": { "exp": NOW + 10, "nbf": NOW - 10, "params": {}, "lim": {}, "rates": [], "out": [[]] } }),
        ),
        accept(
            "limits",
            "the smallest of each; every rate at its own link",
            &edited(|c| {
                c.insert(
                    2,
                    (
                        "lim",
                        Map(vec![
                            ("cpu", Number(50)),
                            ("rate", Number(100)),
                            ("calls", Number(3)),
                        ]),
                    ),
                )
            }),
            json!({ "lim": { "cpu": 50, "rate": 100, "calls": 3 } }),
            &[
                (
                    vec![("lim", Map(vec![("cpu", Number(90)), ("calls", Number(2))]))],
                    json!({ "lim": { "cpu": 90, "calls": 2 } }),
                ),
                (
                    vec![("lim", Map(vec![("log", Number(0)), ("rate", Number(200))]))],
                    json!({ "lim": { "log": 0, "rate": 200 } }),
                ),
            ],
            json!({ "rights": {
                "exp": EXP, "params": {}, "lim": { "cpu": 50, "log": 0, "calls": 2 },
                "rates": [[0, 100], [2, 200]], "out": [[]],
            } }),
        ),
        accept(
            "outbound",
            "a request needs a grant in each list",
            &edited(|c| {
                c.insert(
                    2,
                    (
                        "out",
                        Array(vec![
                            grant(&["GET", "POST"], "https://*.example.com", "/*"),
                            grant(&["*"], "https://other.test", "/*"),
                        ]),
                    ),
                )
            }),
            json!({ "out": ["GET,POST https://*.example.com/*", "* https://other.test/*"] }),
            &[
                (
                    vec![(
                        "out",
                        Array(vec![
                            grant(&["*"], "https://api.example.com", "/v1/*"),
                            grant(&["GET"], "https://wider.test", "/*"),
                        ]),
                    )],
                    json!({ "out": ["* https://api.example.com/v1/*", "GET https://wider.test/*"] }),
                ),
                (
                    vec![(
                        "out",
                        Array(vec![grant(&["POST"], "https://api.example.com", "/*")]),
                    )],
                    json!({ "out": ["POST https://api.example.com/*"] }),
                ),
            ],
            json!({ "outbound": [
                ["POST", "https", "api.example.com", 443, "/v1/a", true],
                ["GET", "https", "api.example.com", 443, "/v1/a", false],
                ["PUT", "https", "api.example.com", 443, "/v1/a", false],
                ["POST", "https", "api.example.com", 443, "/v2/a", false],
                ["POST", "https", "api.example.com", 443, "/v1/../a", false],
                ["POST", "http", "api.example.com", 443, "/v1/a", false],
                ["GET", "https", "wider.test", 443, "/", false],
                ["GET", "https", "other.test", 443, "/", false],
            ] }),
        ),
        accept(
            "plain-paths",
            "what no common server reads in another way matches; nothing else does, neither a prefix nor the same text",
            &edited(|c| {
                c.insert(
                    2,
                    (
                        "out",
                        Array(vec![
                            grant(&["GET"], "https://h.test", "/v1/*"),
                            grant(&["GET"], "https://h.test", "/a;v=1/b%20c"),
                        ]),
                    ),
                )
            }),
            json!({ "out": ["GET https://h.test/v1/*", "GET https://h.test/a;v=1/b%20c"] }),
            &[(
                vec![("path", text("/%C3%A4/*"))],
                json!({ "path": "/%C3%A4/*" }),
            )],
            json!({
                "requests": [
                    ["GET", "/%C3%A4/", null, "ok"],
                    ["GET", "/%c3%a4/", null, "path"],
                    ["GET", "/%C3%A4/;v=1", null, "ok"],
                    ["GET", "/%C3%A4/..;/a", null, "path"],
                    ["GET", "/%C3%A4/%25", null, "path"],
                ],
                "outbound": PATHS.iter().map(|(path, allowed)| json!(["GET", "https", "h.test", 443, path, allowed])).collect::<Vec<_>>(),
            }),
        ),
        accept(
            "no-outbound",
            "an empty `out` allows nothing, also before a wider one",
            &edited(|c| {
                c.insert(
                    2,
                    ("out", Array(vec![grant(&["*"], "https://h.test", "/*")])),
                )
            }),
            json!({ "out": ["* https://h.test/*"] }),
            &[
                (vec![("out", Array(vec![]))], json!({ "out": [] })),
                (
                    vec![("out", Array(vec![grant(&["*"], "https://h.test", "/*")]))],
                    json!({ "out": ["* https://h.test/*"] }),
                ),
            ],
            json!({
                "rights": {
                    "exp": EXP, "params": {}, "lim": {}, "rates": [],
                    "out": [["* https://h.test/*"], [], ["* https://h.test/*"]],
                },
                "outbound": [["GET", "https", "h.test", 443, "/", false]],
            }),
        ),
        accept(
            "params",
            "caveats fix more, and may say again what is fixed",
            &edited(|c| c.push(("params", Map(vec![("plan", text("free"))])))),
            json!({ "params": { "plan": "free" } }),
            &[
                (
                    vec![(
                        "params",
                        Map(vec![("plan", text("free")), ("user", text("42"))]),
                    )],
                    json!({ "params": { "plan": "free", "user": "42" } }),
                ),
                (
                    vec![(
                        "params",
                        Map(vec![("user", text("42")), ("z.last", text(""))]),
                    )],
                    json!({ "params": { "user": "42", "z.last": "" } }),
                ),
            ],
            json!({ "rights": {
                "exp": EXP, "params": { "plan": "free", "user": "42", "z.last": "" }, "lim": {}, "rates": [], "out": [[]],
            } }),
        ),
        accept(
            "requests",
            "what every caveat allows: no method, one path, one origin is left",
            &minimal(),
            json!({}),
            &[
                (
                    vec![
                        ("path", text("/a*")),
                        ("methods", texts(&["GET", "PUT"])),
                        ("origins", texts(&[PAGE, "https://b.test"])),
                    ],
                    json!({ "path": "/a*", "methods": ["GET", "PUT"], "origins": [PAGE, "https://b.test"] }),
                ),
                (
                    vec![
                        ("path", text("/abc")),
                        ("methods", texts(&["PUT"])),
                        ("origins", texts(&["http://[::1]:8080", "https://b.test"])),
                    ],
                    json!({ "path": "/abc", "methods": ["PUT"], "origins": ["http://[::1]:8080", "https://b.test"] }),
                ),
            ],
            json!({ "requests": [
                ["PUT", "/abc", "https://b.test", "ok"],
                ["GET", "/abc", "https://b.test", "method"],
                ["PUT", "/ab", "https://b.test", "path"],
                ["PUT", "/abcd", "https://b.test", "path"],
                ["PUT", "/abc", PAGE, "origin"],
                ["PUT", "/abc", "http://[::1]:8080", "origin"],
            ] }),
        ),
        accept(
            "methods-none-left",
            "two caveats without a common method leave none",
            &minimal(),
            json!({}),
            &[
                (
                    vec![("methods", texts(&["GET"]))],
                    json!({ "methods": ["GET"] }),
                ),
                (
                    vec![("methods", texts(&["POST"]))],
                    json!({ "methods": ["POST"] }),
                ),
            ],
            json!({ "requests": [["GET", "/", null, "method"], ["POST", "/", null, "method"]] }),
        ),
    ]
}

fn rejected() -> Vec<(String, Value)> {
    let base = link(&minimal());
    let bytes = |name: &str, why: &str, caveat: &[u8]| {
        (
            name.to_owned(),
            why.to_owned(),
            "Malformed",
            with_tail(&base, &[&base64(caveat)]),
        )
    };
    let one = |name, why, caveat: Entries| bytes(name, why, &Map(caveat).encode());
    let good = Map(vec![("note", text("a"))]).encode();
    let two = |name: &str, why: &str, error, link: &str, caveats: &[Entries]| {
        let texts: Vec<String> = caveats.iter().map(encoded).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        (
            name.to_owned(),
            why.to_owned(),
            error,
            with_tail(link, &texts),
        )
    };
    let user = |value: &str| -> Entries { vec![("params", Map(vec![("user", text(value))]))] };
    let free = link(&edited(|c| {
        c.push(("params", Map(vec![("user", text("41"))])));
    }));
    let out = |grant: Item| -> Entries { vec![("out", Array(vec![grant]))] };
    let origins = |origins: &[&str]| -> Entries { vec![("origins", texts(origins))] };
    let (a, b) = (
        encoded(&vec![("note", text("a"))]),
        encoded(&vec![("exp", Number(NOW + 5))]),
    );
    let moved = format!(
        "{base}.{b}.{a}.{}",
        base64(tails(&base, &[&a, &b]).last().unwrap())
    );
    let dropped_first = format!(
        "{base}.{a}.{}",
        base64(tails(&base, &[&b, &a]).last().unwrap())
    );
    let dropped_last = format!(
        "{base}.{a}.{}",
        base64(tails(&base, &[&a, &b]).last().unwrap())
    );
    let changed = with_tail(&base, &[&b]).replacen(&b, &encoded(&vec![("exp", Number(EXP))]), 1);
    let wrong_key = format!(
        "{base}.{a}.{}",
        base64(&tails(&link(&edited(|c| c[0].1 = Number(EXP + 1))), &[&a])[1])
    );
    let cases = vec![
        (
            "moved".to_owned(),
            "two caveats in the other order, the tail of the right one".to_owned(),
            "Unauthentic",
            moved,
        ),
        (
            "dropped-first".to_owned(),
            "the first of two is taken out".to_owned(),
            "Unauthentic",
            dropped_first,
        ),
        (
            "dropped-last".to_owned(),
            "the last of two is taken out".to_owned(),
            "Unauthentic",
            dropped_last,
        ),
        (
            "changed".to_owned(),
            "a later `exp` in the place of an earlier one".to_owned(),
            "Unauthentic",
            changed,
        ),
        (
            "of-another-chain".to_owned(),
            "caveat and tail of another token".to_owned(),
            "Unauthentic",
            wrong_key,
        ),
        (
            "padded".to_owned(),
            "base64 without padding; the tail is authentic".to_owned(),
            "Malformed",
            with_tail(&base, &[&format!("{a}=")]),
        ),
        (
            "alphabet".to_owned(),
            "base64url, not base64; the tail is authentic".to_owned(),
            "Malformed",
            with_tail(&base, &["oWRub3Rl+WE"]),
        ),
        (
            "loose-bits".to_owned(),
            "trailing bits are zero, in the last of two as well".to_owned(),
            "Malformed",
            with_tail(&base, &[&a, &loose(&a)]),
        ),
        one("map-empty", "a caveat takes something away", vec![]),
        bytes("array", "a caveat is a map", &Array(vec![]).encode()),
        bytes("text", "a caveat is a map", &text("note").encode()),
        bytes("not-cbor", "a caveat is CBOR", &[0xFF, 0xFF]),
        bytes(
            "trailing",
            "nothing stands after the map",
            &[good.as_slice(), &[0]].concat(),
        ),
        bytes(
            "two-maps",
            "one map a segment",
            &[good.as_slice(), &good].concat(),
        ),
        bytes(
            "cut",
            "the map ends where its length says",
            &good[..good.len() - 1],
        ),
        bytes(
            "indefinite",
            "lengths are definite",
            &[&[0xBF], &good[1..], &[0xFF]].concat(),
        ),
        bytes(
            "huge-length",
            "a length is believed only as far as there are bytes",
            &[&[0xBB], [0xFF; 8].as_slice(), &good[1..]].concat(),
        ),
        bytes(
            "long-head",
            "a length is as short as it can be",
            &[&[0xB8, 1], &good[1..]].concat(),
        ),
        bytes("key-type", "keys are text", &[0xA1, 0x01, 0x01]),
        one(
            "key-unknown",
            "an unknown caveat may be a restriction",
            vec![("aud", text("x"))],
        ),
        one(
            "key-unknown-second",
            "an unknown caveat beside one that is known",
            vec![("exp", Number(EXP)), ("zone", text("x"))],
        ),
        one(
            "key-claim",
            "`url` is a claim and no caveat",
            vec![("url", text("https://evil.test/a.wasm"))],
        ),
        one(
            "key-secrets",
            "nobody adds secrets",
            vec![("secrets", Map(vec![("s", text("v"))]))],
        ),
        one(
            "key-twice",
            "a key stands once",
            vec![("exp", Number(EXP)), ("exp", Number(EXP))],
        ),
        one(
            "key-order",
            "keys are in order, shorter first",
            vec![("note", text("a")), ("exp", Number(EXP))],
        ),
        one(
            "key-order-bytes",
            "keys of one length are in order of their bytes",
            vec![("origins", texts(&[PAGE])), ("methods", texts(&["GET"]))],
        ),
        one(
            "exp-text",
            "times are unsigned integers",
            vec![("exp", text("1"))],
        ),
        one(
            "exp-negative",
            "times are unsigned integers",
            vec![("exp", Raw(vec![0x20]))],
        ),
        one(
            "exp-float",
            "times are unsigned integers",
            vec![(
                "exp",
                Raw(vec![0xFB, 0x41, 0xDA, 0xD2, 0x74, 0x88, 0, 0, 0]),
            )],
        ),
        one(
            "exp-tagged",
            "nothing is tagged",
            vec![("exp", Raw([vec![0xC1], Number(EXP).encode()].concat()))],
        ),
        one(
            "exp-null",
            "absence is absence",
            vec![("exp", Raw(vec![0xF6]))],
        ),
        one(
            "exp-long",
            "integers are as short as they can be",
            vec![("exp", Raw([&[0x1B], EXP.to_be_bytes().as_slice()].concat()))],
        ),
        one(
            "exp-milliseconds",
            "no time is after the year 9999",
            vec![("exp", Number(EXP * 1000))],
        ),
        one(
            "nbf-milliseconds",
            "no time is after the year 9999",
            vec![("nbf", Number(253_402_300_800))],
        ),
        one(
            "methods-empty",
            "an empty list could be taken for any",
            vec![("methods", Array(vec![]))],
        ),
        one(
            "methods-text",
            "methods are a list",
            vec![("methods", text("GET"))],
        ),
        one(
            "methods-case",
            "methods are in upper case",
            vec![("methods", texts(&["get"]))],
        ),
        one(
            "methods-star",
            "a caveat names methods",
            vec![("methods", texts(&["*"]))],
        ),
        one(
            "methods-order",
            "methods are sorted",
            vec![("methods", texts(&["POST", "GET"]))],
        ),
        one(
            "methods-twice",
            "a method stands once",
            vec![("methods", texts(&["GET", "GET"]))],
        ),
        one(
            "methods-long",
            "a method has at most 32 characters",
            vec![("methods", texts(&[&"M".repeat(33)]))],
        ),
        one(
            "path-empty",
            "a path begins with /",
            vec![("path", text(""))],
        ),
        one(
            "path-relative",
            "a path begins with /",
            vec![("path", text("a"))],
        ),
        one(
            "path-star",
            "a path begins with /",
            vec![("path", text("*"))],
        ),
        one(
            "path-dots",
            "a path is plain",
            vec![("path", text("/a/../b"))],
        ),
        one(
            "path-inner-star",
            "a * stands at the end only",
            vec![("path", text("/a/*/b"))],
        ),
        one(
            "path-parameter",
            "a path is plain",
            vec![("path", text("/a/..;/b"))],
        ),
        one(
            "path-percent",
            "a path is plain",
            vec![("path", text("/a/%252e/b"))],
        ),
        one(
            "path-overlong",
            "a path is plain",
            vec![("path", text("/a/%C0%AE%C0%AE/b"))],
        ),
        one(
            "path-encoded-slash",
            "a path is plain",
            vec![("path", text("/a%2Fb"))],
        ),
        one(
            "path-query",
            "queries take no part",
            vec![("path", text("/a?b=c"))],
        ),
        one(
            "path-list",
            "a caveat has one path",
            vec![("path", texts(&["/a"]))],
        ),
        one(
            "origins-empty",
            "an empty list could be taken for any",
            origins(&[]),
        ),
        one(
            "origins-null",
            "every sandboxed frame has the origin `null`",
            origins(&["null"]),
        ),
        one("origins-star", "a caveat names origins", origins(&["*"])),
        one(
            "origins-wildcard",
            "a browser sends no wildcard",
            origins(&["https://*.example.com"]),
        ),
        one(
            "origins-slash",
            "an origin has no path",
            origins(&["https://app.example.com/"]),
        ),
        one(
            "origins-port",
            "a browser leaves the scheme's own port out",
            origins(&["https://app.example.com:443"]),
        ),
        one(
            "origins-case",
            "a browser writes hosts in lower case",
            origins(&["https://App.example.com"]),
        ),
        one(
            "origins-scheme",
            "https or http",
            origins(&["ftp://app.example.com"]),
        ),
        one(
            "origins-order",
            "origins are sorted",
            origins(&["https://b.test", "https://a.test"]),
        ),
        one(
            "origins-twice",
            "an origin stands once",
            origins(&["https://a.test", "https://a.test"]),
        ),
        one(
            "origins-hex-no-digit",
            "`0x` alone is the number 0 (WHATWG URL, IPv4 number parser)",
            vec![("origins", texts(&["https://h.0x"]))],
        ),
        one(
            "params-empty",
            "nothing is encoded as absence",
            vec![("params", Map(vec![]))],
        ),
        one(
            "params-name",
            "a name is a name",
            vec![("params", Map(vec![("a b", text("v"))]))],
        ),
        one(
            "params-nul",
            "no NUL in a parameter",
            vec![("params", Map(vec![("a", text("\0"))]))],
        ),
        one(
            "params-number",
            "parameters are text",
            vec![("params", Map(vec![("a", Number(1))]))],
        ),
        one(
            "params-order",
            "keys are in order, shorter first",
            vec![("params", Map(vec![("bb", text("")), ("a", text(""))]))],
        ),
        one(
            "params-twice",
            "a key stands once",
            vec![("params", Map(vec![("a", text("1")), ("a", text("2"))]))],
        ),
        one(
            "lim-empty",
            "nothing is encoded as absence",
            vec![("lim", Map(vec![]))],
        ),
        one(
            "lim-unknown",
            "an unknown limit cannot be kept",
            vec![("lim", Map(vec![("disk", Number(1))]))],
        ),
        one(
            "lim-text",
            "limits are unsigned integers",
            vec![("lim", Map(vec![("cpu", text("1"))]))],
        ),
        one(
            "out-method",
            "methods are in upper case",
            out(grant(&["get"], "https://h.test", "/")),
        ),
        one(
            "out-path",
            "a path is plain",
            out(grant(&["GET"], "https://h.test", "/../")),
        ),
        one(
            "out-origin",
            "an origin is in its one spelling",
            out(grant(&["GET"], "https://H.test", "/")),
        ),
        one(
            "out-items",
            "a grant has three items",
            out(texts(&["GET", "https://h.test"])),
        ),
        one(
            "note-empty",
            "a note says something",
            vec![("note", text(""))],
        ),
        one(
            "note-257",
            "a note has at most 256 bytes",
            vec![("note", text(&"n".repeat(257)))],
        ),
        one(
            "note-bytes",
            "a note is text",
            vec![("note", Bytes(vec![1]))],
        ),
        one(
            "note-utf8",
            "text is UTF-8",
            vec![("note", Raw(vec![0x61, 0xFF]))],
        ),
        two(
            "second-unknown",
            "every caveat is read, not only the first",
            "Malformed",
            &base,
            &[vec![("note", text("a"))], vec![("aud", text("x"))]],
        ),
        two(
            "param-of-claims",
            "a caveat changes a parameter of the claims",
            "ParamFixed",
            &free,
            &[user("42")],
        ),
        two(
            "param-of-caveat",
            "a caveat changes a parameter of an earlier one",
            "ParamFixed",
            &base,
            &[user("41"), vec![("note", text("a"))], user("42")],
        ),
        two(
            "param-emptied",
            "an empty text is another value",
            "ParamFixed",
            &free,
            &[user("")],
        ),
        two(
            "expired",
            "the first second at which a caveat ends the token",
            "Expired",
            &base,
            &[vec![("exp", Number(NOW))]],
        ),
        two(
            "expired-by-the-first",
            "a later `exp` does not extend an earlier one",
            "Expired",
            &base,
            &[
                vec![("exp", Number(NOW - 1))],
                vec![("exp", Number(NOW + 9))],
            ],
        ),
        two(
            "expired-at-0",
            "0 is a time",
            "Expired",
            &base,
            &[vec![("exp", Number(0))]],
        ),
        two(
            "early",
            "the last second before a caveat lets the token begin",
            "NotYetValid",
            &base,
            &[vec![("nbf", Number(NOW + 1))]],
        ),
        two(
            "early-by-the-first",
            "an earlier `nbf` does not undo a later one",
            "NotYetValid",
            &base,
            &[vec![("nbf", Number(NOW + 9))], vec![("nbf", Number(0))]],
        ),
        two(
            "early-and-expired",
            "over is over, whatever begins later",
            "Expired",
            &base,
            &[vec![("exp", Number(NOW - 9)), ("nbf", Number(NOW + 9))]],
        ),
    ];
    let vector = |(name, why, error, token): (String, String, &str, String)| {
        (
            format!("reject-caveat-{name}"),
            vector(&why, NOW, &token, json!({ "error": error })),
        )
    };
    cases.into_iter().map(vector).collect()
}

fn attenuated() -> Vec<(String, Value)> {
    let base = link(&minimal());
    let note = encoded(&vec![("note", text("a"))]);
    let case = |name: &str, about: &str, before: &[&str], said: Value, caveat: Entries| {
        let after = encoded(&caveat);
        let all: Vec<&str> = before.iter().copied().chain([after.as_str()]).collect();
        let vector = json!({
            "about": about, "token": with_tail(&base, before), "caveat": said, "result": with_tail(&base, &all),
        });
        (format!("attenuate-{name}"), vector)
    };
    let refused = |name: &str, about: &str, before: &[&str], said: Value, error: &str| {
        let token = with_tail(&base, before);
        let vector = json!({ "about": about, "token": token, "caveat": said, "error": error });
        (format!("attenuate-{name}"), vector)
    };
    let fixed = encoded(&vec![("params", Map(vec![("user", text("41"))]))]);
    vec![
        case(
            "note",
            "one caveat",
            &[],
            json!({ "note": "a" }),
            vec![("note", text("a"))],
        ),
        case(
            "second",
            "one more caveat: the old tail is the key of the new one",
            &[&note],
            json!({ "exp": NOW + 60 }),
            vec![("exp", Number(NOW + 60))],
        ),
        case(
            "sixteenth",
            "the last that fits",
            &[note.as_str(); 15],
            json!({ "note": "b" }),
            vec![("note", text("b"))],
        ),
        case(
            "everything",
            "every key; limits in their units of the claim, grants in their text form",
            &[],
            json!({
                "exp": NOW + 60, "nbf": NOW, "methods": ["GET", "POST"], "path": "/orders/*",
                "origins": ["http://localhost:3000", PAGE], "params": { "role": "reader", "u": "42", "a": "ü" },
                "lim": { "response": 65_536, "cpu": 5, "rate": 2, "memory": 4_294_967_296u64 },
                "out": ["GET,POST https://api.example.com/v1/*", "* http://[::1]:8080/"], "note": "für Ada",
            }),
            vec![
                ("exp", Number(NOW + 60)),
                (
                    "lim",
                    Map(vec![
                        ("cpu", Number(5)),
                        ("rate", Number(2)),
                        ("memory", Number(4_294_967_296)),
                        ("response", Number(65_536)),
                    ]),
                ),
                ("nbf", Number(NOW)),
                (
                    "out",
                    Array(vec![
                        grant(&["GET", "POST"], "https://api.example.com", "/v1/*"),
                        grant(&["*"], "http://[::1]:8080", "/"),
                    ]),
                ),
                ("note", text("für Ada")),
                ("path", text("/orders/*")),
                (
                    "params",
                    Map(vec![
                        ("a", text("ü")),
                        ("u", text("42")),
                        ("role", text("reader")),
                    ]),
                ),
                ("methods", texts(&["GET", "POST"])),
                ("origins", texts(&["http://localhost:3000", PAGE])),
            ],
        ),
        case(
            "sorted",
            "methods and origins are sorted by bytes, each once",
            &[],
            json!({ "methods": ["PUT", "GET", "PUT", "DELETE"], "origins": ["https://b.test", "http://z.test", "https://a.test", "https://b.test"] }),
            vec![
                ("methods", texts(&["DELETE", "GET", "PUT"])),
                (
                    "origins",
                    texts(&["http://z.test", "https://a.test", "https://b.test"]),
                ),
            ],
        ),
        case(
            "no-outbound",
            "an empty list of grants is a caveat",
            &[],
            json!({ "out": [] }),
            vec![("out", Array(vec![]))],
        ),
        case(
            "params-again",
            "the same value again is no change",
            &[&fixed],
            json!({ "params": { "user": "41", "plan": "free" } }),
            vec![(
                "params",
                Map(vec![("plan", text("free")), ("user", text("41"))]),
            )],
        ),
        case(
            "integers",
            "integers of every length",
            &[],
            json!({ "exp": 0, "nbf": 23, "lim": { "log": 24, "calls": 255, "memory": 256, "request": 65_536, "response": 9_007_199_254_740_991u64 } }),
            vec![
                ("exp", Number(0)),
                (
                    "lim",
                    Map(vec![
                        ("log", Number(24)),
                        ("calls", Number(255)),
                        ("memory", Number(256)),
                        ("request", Number(65_536)),
                        ("response", Number(9_007_199_254_740_991)),
                    ]),
                ),
                ("nbf", Number(23)),
            ],
        ),
        case(
            "long-text",
            "a text of 256 bytes",
            &[],
            json!({ "note": "n".repeat(256) }),
            vec![("note", text(&"n".repeat(256)))],
        ),
        refused(
            "empty",
            "a caveat takes something away",
            &[],
            json!({}),
            "Invalid",
        ),
        refused(
            "seventeenth",
            "at most 16 caveats",
            &[note.as_str(); 16],
            json!({ "note": "b" }),
            "TooMany",
        ),
        refused(
            "too-long",
            "at most 8192 characters",
            &[],
            json!({ "params": { "p": "x".repeat(6_100) } }),
            "TooLong",
        ),
        refused(
            "param-fixed",
            "a parameter of an earlier caveat",
            &[&fixed],
            json!({ "params": { "user": "42" } }),
            "ParamFixed",
        ),
        refused(
            "origin-null",
            "not for sandboxed frames",
            &[],
            json!({ "origins": ["null"] }),
            "Invalid",
        ),
        refused(
            "no-methods",
            "a list of no methods",
            &[],
            json!({ "methods": [] }),
            "Invalid",
        ),
        refused(
            "path-relative",
            "a path begins with /",
            &[],
            json!({ "path": "a" }),
            "Invalid",
        ),
        refused(
            "milliseconds",
            "times are in seconds",
            &[],
            json!({ "exp": EXP * 1000 }),
            "Invalid",
        ),
    ]
}
