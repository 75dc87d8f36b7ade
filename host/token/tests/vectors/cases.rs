//! The vectors: what is right, and one thing wrong each.

use serde_json::{Value, json};

use crate::writer::{Item, base64, link_id, root, sealed, tails, text, texts, with_tail};
use Item::{Array, Bytes, Map, Number, Raw};

/// Entries of a CBOR map, in the order in which they are written.
pub(crate) type Entries = Vec<(&'static str, Item)>;

pub(crate) const NOW: u64 = 1_800_000_000;
const EXP: u64 = NOW + 3_600;
const HEAD: &str = "wt1.k1";
const NEWLINE: &str = "a\nb: c";

pub(crate) fn all() -> Vec<(String, Value)> {
    let mut cases = accepted();
    for (name, why, error, token) in envelopes().into_iter().chain(claims()) {
        let vector = vector(why, NOW, &token, json!({ "error": error }));
        cases.push((format!("reject-{name}"), vector));
    }
    let link = link(&minimal());
    let clock = |name: &str, why: &str, now: u64, error: &str, token: &str| {
        (
            format!("reject-{name}"),
            vector(why, now, token, json!({ "error": error })),
        )
    };
    cases.push(clock(
        "expired",
        "`exp` is the first second at which a token is over",
        EXP,
        "Expired",
        &with_tail(&link, &[]),
    ));
    let later = token(&edited(|c| c.insert(2, ("nbf", Number(NOW)))));
    cases.push(clock(
        "early",
        "`nbf` is the first second at which a token is valid",
        NOW - 1,
        "NotYetValid",
        &later,
    ));
    cases
}

pub(crate) fn vector(about: &str, now: u64, token: &str, expect: Value) -> Value {
    let keys = json!([
        { "kid": "k1", "root": base64(&root()) },
        { "kid": "k2", "root": base64(&root()) },
    ]);
    json!({ "about": about, "keys": keys, "now": now, "token": token, "expect": expect })
}

pub(crate) fn minimal() -> Entries {
    vec![
        ("exp", Number(EXP)),
        ("iat", Number(NOW)),
        ("url", text("https://example.com/a.wasm")),
    ]
}

pub(crate) fn edited(edit: impl FnOnce(&mut Entries)) -> Entries {
    let mut claims = minimal();
    edit(&mut claims);
    claims
}

/// `wt1.k1.<sealed>`
pub(crate) fn link(claims: &[(&'static str, Item)]) -> String {
    raw_link(&Map(claims.to_vec()).encode())
}

fn raw_link(claims: &[u8]) -> String {
    format!("{HEAD}.{}", base64(&sealed(HEAD, claims)))
}

fn token(claims: &[(&'static str, Item)]) -> String {
    with_tail(&link(claims), &[])
}

fn slot(origin: &str, path: &str, header: &str) -> Item {
    texts(&["POST", origin, path, header, "Bearer {}"])
}

/// The same vector, and headers: secret, number of the slot, body, what the header says.
fn with_headers((name, mut vector): (String, Value), headers: Value) -> (String, Value) {
    vector["expect"]["headers"] = headers;
    (name, vector)
}

fn accepted() -> Vec<(String, Value)> {
    let accept = |name: &str, about: &str, now: u64, claims: Entries, mut expect: Value| {
        let link = link(&claims);
        let fields = expect.as_object_mut().unwrap();
        fields.entry("exp").or_insert(json!(EXP));
        fields.entry("iat").or_insert(json!(NOW));
        fields.entry("ten").or_insert(json!("default"));
        fields
            .entry("url")
            .or_insert(json!("https://example.com/a.wasm"));
        let links = [link_id(&tails(&link, &[])[0])];
        let expect = json!({ "claims": expect, "kid": "k1", "links": links });
        (
            format!("accept-{name}"),
            vector(about, now, &with_tail(&link, &[]), expect),
        )
    };
    let stripe = "https://api.stripe.com";
    let image = format!(
        "oci://registry.example.com:5000/team/my-task__2.x:v1.0@sha256:{}",
        "0a".repeat(32)
    );
    vec![
        accept(
            "minimal",
            "the three claims that must be there",
            NOW,
            minimal(),
            json!({}),
        ),
        accept(
            "last-second",
            "valid until `exp`, not including it",
            EXP - 1,
            minimal(),
            json!({}),
        ),
        accept(
            "first-second",
            "valid from `nbf`, including it",
            NOW + 5,
            edited(|c| c.insert(2, ("nbf", Number(NOW + 5)))),
            json!({ "nbf": NOW + 5 }),
        ),
        accept(
            "oci",
            "an image with a tag and the digest of its manifest",
            NOW,
            edited(|c| c[2].1 = text(&image)),
            json!({ "url": image }),
        ),
        accept(
            "bound-secret",
            "the token that most people hold: a digest and one bound secret",
            NOW,
            edited(|c| {
                c.push(("sha256", Bytes(vec![0xA5; 32])));
                let secret = Array(vec![
                    text("sk_test"),
                    slot(stripe, "/v1/charges", "authorization"),
                ]);
                c.push(("secrets", Map(vec![("stripe", secret)])));
            }),
            json!({
                "sha256": "a5".repeat(32),
                "secrets": { "stripe": { "value": "sk_test", "slots": ["POST https://api.stripe.com/v1/charges authorization: Bearer {}"] } },
            }),
        ),
        accept(
            "everything",
            "every claim; keys of maps shorter first, then by bytes",
            NOW,
            vec![
                ("exp", Number(EXP)),
                ("iat", Number(NOW)),
                ("iss", Array(vec![Bytes(vec![1; 16]), Bytes(vec![2; 16])])),
                (
                    "lim",
                    Map([
                        "cpu", "log", "rate", "wall", "calls", "memory", "request", "response",
                    ]
                    .into_iter()
                    .zip((0u64..).map(Number))
                    .collect()),
                ),
                ("nbf", Number(NOW)),
                (
                    "out",
                    Array(vec![
                        Array(vec![
                            texts(&["GET", "POST"]),
                            text("https://api.example.com"),
                            text("/v1/*"),
                        ]),
                        Array(vec![texts(&["*"]), text("http://[::1]:8080"), text("/")]),
                        Array(vec![
                            texts(&["GET"]),
                            text("https://*.example.com:8443"),
                            text("/*"),
                        ]),
                    ]),
                ),
                ("ten", text("acme.test")),
                ("url", text("file:///srv/a%20b.wasm")),
                ("via", texts(&["path"])),
                (
                    "params",
                    Map(vec![("z", text("ü")), ("aa", text("")), ("ab", text("1"))]),
                ),
                ("sha256", Bytes((0..32).collect())),
                (
                    "secrets",
                    Map(vec![
                        ("readable", text("line\nline")),
                        (
                            "basic_auth",
                            Array(vec![
                                text("pässword"),
                                texts(&["GET", stripe, "/*", "authorization", "basic:user"]),
                            ]),
                        ),
                    ]),
                ),
            ],
            json!({
                "iss": ["01".repeat(16), "02".repeat(16)],
                "lim": { "cpu": 0, "log": 1, "rate": 2, "wall": 3, "calls": 4, "memory": 5, "request": 6, "response": 7 },
                "nbf": NOW,
                "out": ["GET,POST https://api.example.com/v1/*", "* http://[::1]:8080/", "GET https://*.example.com:8443/*"],
                "ten": "acme.test",
                "url": "file:///srv/a%20b.wasm",
                "via": ["path"],
                "params": { "z": "ü", "aa": "", "ab": "1" },
                "sha256": (0..32).map(|i| format!("{i:02x}")).collect::<String>(),
                "secrets": {
                    "readable": { "value": "line\nline", "slots": [] },
                    "basic_auth": { "value": "pässword", "slots": ["GET https://api.stripe.com/* authorization: basic:user"] },
                },
            }),
        ),
        with_headers(
            accept(
                "slot-formats",
                "each format; the header that it makes for a body",
                NOW,
                edited(|c| {
                    let to =
                        |header, format| texts(&["POST", "https://h.test", "/*", header, format]);
                    let basic = text("open sesame");
                    let hook = text("It's a Secret to Everybody");
                    let key = text("ke\u{df}");
                    c.push((
                        "secrets",
                        Map(vec![
                            ("key", Array(vec![key, to("x-key", "hmac-sha256:{}")])),
                            (
                                "user",
                                Array(vec![basic, to("a", "basic:Aladdin"), to("b", "basic:")]),
                            ),
                            (
                                "webhook",
                                Array(vec![
                                    hook,
                                    to("x-hub-signature-256", "hmac-sha256:sha256={}"),
                                    to("x-key-and-mac", "hmac {}; hmac-sha256:"),
                                ]),
                            ),
                        ]),
                    ));
                }),
                json!({ "secrets": {
                "key": { "value": "ke\u{df}", "slots": ["POST https://h.test/* x-key: hmac-sha256:{}"] },
                "user": { "value": "open sesame", "slots": [
                    "POST https://h.test/* a: basic:Aladdin", "POST https://h.test/* b: basic:",
                ] },
                "webhook": { "value": "It's a Secret to Everybody", "slots": [
                    "POST https://h.test/* x-hub-signature-256: hmac-sha256:sha256={}",
                    "POST https://h.test/* x-key-and-mac: hmac {}; hmac-sha256:",
                ] },
            } }),
            ),
            json!([
                // openssl dgst -sha256 -hmac; RFC 7617 section 2; the example of GitHub's documentation on webhooks
                [
                    "key",
                    0,
                    "",
                    "848e1d803b3ef8c8a81ef9fc4444e201ee768753deed49fc285f36d9ad7e65e0"
                ],
                ["user", 0, "", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="],
                ["user", 1, "ignored", "Basic Om9wZW4gc2VzYW1l"],
                [
                    "webhook",
                    0,
                    "Hello, World!",
                    "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
                ],
                [
                    "webhook",
                    1,
                    "Hello, World!",
                    "hmac It's a Secret to Everybody; hmac-sha256:"
                ],
            ]),
        ),
        with_headers(
            accept(
                "basic-users",
                "a user is empty, or visible ASCII and inner spaces without `:`",
                NOW,
                edited(|c| {
                    let to =
                        |header, format| texts(&["GET", "https://h.test", "/", header, format]);
                    let users = vec![
                        text("p"),
                        to("a", "basic:"),
                        to("b", "basic:a b"),
                        to("c", "basic:!{~}%3A"),
                    ];
                    c.push(("secrets", Map(vec![("s", Array(users))])));
                }),
                json!({ "secrets": { "s": { "value": "p", "slots": [
                    "GET https://h.test/ a: basic:",
                    "GET https://h.test/ b: basic:a b",
                    "GET https://h.test/ c: basic:!{~}%3A",
                ] } } }),
            ),
            json!([
                ["s", 0, "", "Basic OnA="],
                ["s", 1, "", "Basic YSBiOnA="],
                ["s", 2, "", "Basic IXt+fSUzQTpw"],
            ]),
        ),
        accept(
            "host-labels",
            "a last label that only looks like a number is a name",
            NOW,
            edited(|c| {
                let to = |host| Array(vec![texts(&["GET"]), text(host), text("/")]);
                let hosts = [
                    "https://h.0xg",
                    "https://0x.test",
                    "https://h.1a",
                    "https://h.x0",
                    "https://1.0x-1",
                ];
                c.insert(2, ("out", Array(hosts.map(to).to_vec())));
            }),
            json!({ "out": [
                "GET https://h.0xg/", "GET https://0x.test/", "GET https://h.1a/", "GET https://h.x0/",
                "GET https://1.0x-1/",
            ] }),
        ),
        accept(
            "large-numbers",
            "integers of every length",
            NOW,
            edited(|c| {
                c.insert(
                    2,
                    (
                        "lim",
                        Map(vec![
                            ("log", Number(255)),
                            ("calls", Number(65_536)),
                            ("memory", Number(u64::MAX)),
                        ]),
                    ),
                )
            }),
            json!({ "lim": { "log": 255, "calls": 65_536, "memory": u64::MAX } }),
        ),
    ]
}

/// Name, what is wrong, error, token.
type Case = (&'static str, &'static str, &'static str, String);

/// Wrong round the claims.
fn envelopes() -> Vec<Case> {
    let good = token(&minimal());
    let link = link(&minimal());
    let (before, tail) = good.rsplit_once('.').unwrap();
    let bytes = sealed(HEAD, &Map(minimal()).encode());
    let flipped = {
        let mut bytes = bytes.clone();
        bytes[30] ^= 1;
        format!("{HEAD}.{}", base64(&bytes))
    };
    let mut tail_bytes = tails(&link, &[])[0];
    tail_bytes[31] ^= 1;
    let long = token(&edited(|c| {
        c.push(("params", Map(vec![("p", text(&"x".repeat(6_050)))])))
    }));
    let (a, b) = ("oWRub3RlYWE", "oWRub3RlYWI"); // {"note": "a"}, {"note": "b"}
    let many = ["oWRub3RlYWE"; 17];
    let other = raw_link(&Map(edited(|c| c[2].1 = text("https://example.com/b.wasm"))).encode());
    let renamed = |kid: &str| {
        let head = format!("wt1.{kid}");
        with_tail(
            &format!(
                "{head}.{}",
                base64(&sealed(&head, &Map(minimal()).encode()))
            ),
            &[],
        )
    };
    vec![
        ("empty", "no text at all", "Malformed", String::new()),
        (
            "too-long",
            "authentic, and longer than 8192 characters",
            "Malformed",
            long,
        ),
        (
            "version",
            "another version",
            "UnsupportedVersion",
            good.replacen("wt1", "wt2", 1),
        ),
        (
            "version-missing",
            "a version has a number",
            "Malformed",
            good.replacen("wt1", "wt", 1),
        ),
        (
            "version-word",
            "a version is a number",
            "Malformed",
            good.replacen("wt1", "wtx", 1),
        ),
        (
            "not-a-token",
            "another format",
            "Malformed",
            good.replacen("wt1", "jwt", 1),
        ),
        (
            "version-case",
            "the version is in lower case",
            "Malformed",
            good.replacen("wt1", "WT1", 1),
        ),
        (
            "leading-space",
            "nothing stands before the version",
            "Malformed",
            format!(" {good}"),
        ),
        (
            "trailing-newline",
            "nothing stands after the tail",
            "Malformed",
            format!("{good}\n"),
        ),
        (
            "kid-empty",
            "a kid has at least one character",
            "Malformed",
            renamed(""),
        ),
        (
            "kid-long",
            "a kid has at most 32 characters",
            "Malformed",
            renamed(&"k".repeat(33)),
        ),
        (
            "kid-character",
            "a kid is of [A-Za-z0-9_-]",
            "Malformed",
            renamed("k+"),
        ),
        (
            "kid-unknown",
            "the keyring has no such key",
            "UnknownKey",
            renamed("k3"),
        ),
        (
            "kid-renamed",
            "the kid is associated data: sealed as k1, presented as k2, same root, tail made anew",
            "Unauthentic",
            with_tail(&link.replacen("k1", "k2", 1), &[]),
        ),
        (
            "no-tail",
            "the tail is missing",
            "Malformed",
            before.to_owned(),
        ),
        (
            "no-sealed",
            "the sealed claims are missing",
            "Malformed",
            format!("{HEAD}.{tail}"),
        ),
        (
            "sealed-empty",
            "no nonce; the tail is authentic",
            "Unauthentic",
            with_tail(&format!("{HEAD}."), &[]),
        ),
        (
            "sealed-short",
            "less than a nonce and a tag; the tail is authentic",
            "Unauthentic",
            with_tail(&format!("{HEAD}.{}", base64(&bytes[..30])), &[]),
        ),
        (
            "sealed-padded",
            "base64 without padding; the tail is authentic",
            "Malformed",
            with_tail(&format!("{link}="), &[]),
        ),
        (
            "sealed-alphabet",
            "base64url, not base64; the tail is authentic",
            "Malformed",
            with_tail(&format!("{HEAD}.+{}", &link[8..]), &[]),
        ),
        (
            "sealed-trailing-bits",
            "trailing bits are zero; the tail is authentic",
            "Malformed",
            with_tail(&loose(&link), &[]),
        ),
        (
            "sealed-flipped",
            "one bit of the ciphertext",
            "Unauthentic",
            format!("{flipped}.{tail}"),
        ),
        (
            "sealed-flipped-tail-made-anew",
            "one bit of the ciphertext; the tail is authentic",
            "Unauthentic",
            with_tail(&flipped, &[]),
        ),
        (
            "sealed-of-another",
            "the tail belongs to other sealed claims",
            "Unauthentic",
            format!("{other}.{tail}"),
        ),
        (
            "tail-flipped",
            "one bit of the tail",
            "Unauthentic",
            format!("{before}.{}", base64(&tail_bytes)),
        ),
        (
            "tail-short",
            "a tail is 32 bytes, not a prefix of them",
            "Malformed",
            format!("{before}.{}", base64(&tails(&link, &[])[0][..31])),
        ),
        (
            "tail-trailing-bits",
            "trailing bits are zero",
            "Malformed",
            format!("{before}.{}", loose(tail)),
        ),
        (
            "caveat-added",
            "a caveat after which the tail was not moved on",
            "Unauthentic",
            format!("{before}.{a}.{tail}"),
        ),
        (
            "caveat-removed",
            "the tail is the one after a caveat",
            "Unauthentic",
            format!("{link}.{}", base64(&tails(&link, &[a])[1])),
        ),
        (
            "caveat-swapped",
            "the tail is for the other order",
            "Unauthentic",
            with_tail(&link, &[a, b]).replacen(&format!("{a}.{b}"), &format!("{b}.{a}"), 1),
        ),
        (
            "caveat-twice",
            "the tail is for one of them",
            "Unauthentic",
            with_tail(&link, &[a]).replacen(a, &format!("{a}.{a}"), 1),
        ),
        (
            "caveat-of-another",
            "tail and caveat were taken from another token",
            "Unauthentic",
            with_tail(&other, &[a]).replacen(&other, &link, 1),
        ),
        (
            "caveat-empty",
            "a caveat is not empty; the tail is authentic",
            "Malformed",
            with_tail(&link, &[""]),
        ),
        (
            "caveat-trailing-bits",
            "trailing bits are zero; the tail is authentic",
            "Malformed",
            with_tail(&link, &[&loose(a)]),
        ),
        (
            "caveat-17",
            "at most 16 caveats; the tail is authentic",
            "Malformed",
            with_tail(&link, &many),
        ),
    ]
}

/// Authentic tokens with claims that break a rule.
fn claims() -> Vec<Case> {
    let malformed = |name, why, token| (name, why, "Malformed", token);
    let edit = |edit: fn(&mut Entries)| token(&edited(edit));
    let put = |at: usize, key: &'static str, item: Item| {
        token(&edited(|c| c.insert(at, (key, item.clone()))))
    };
    let set = |at: usize, item: Item| token(&edited(|c| c[at].1 = item.clone()));
    let raw = |bytes: &[u8]| with_tail(&raw_link(bytes), &[]);
    let good = Map(minimal()).encode();
    let grant = |methods: &[&str], origin: &str, path: &str| {
        put(
            2,
            "out",
            Array(vec![Array(vec![texts(methods), text(origin), text(path)])]),
        )
    };
    let secrets = |entries: Entries| put(3, "secrets", Map(entries));
    let bound = |value: &str, slot: Item| secrets(vec![("s", Array(vec![text(value), slot]))]);
    let path =
        |name, why, path: &str| malformed(name, why, grant(&["GET"], "https://h.test", path));
    let basic = |name, why, user: &str| {
        let format = format!("basic:{user}");
        malformed(
            name,
            why,
            bound("v", texts(&["GET", "https://h.test", "/", "a", &format])),
        )
    };
    vec![
        malformed("claims-empty", "claims are a map", raw(&[])),
        malformed(
            "claims-array",
            "claims are a map",
            raw(&Array(vec![]).encode()),
        ),
        malformed(
            "claims-trailing",
            "nothing stands after the map",
            raw(&[good.as_slice(), &[0]].concat()),
        ),
        malformed(
            "claims-cut",
            "the map ends where its length says",
            raw(&good[..good.len() - 1]),
        ),
        malformed(
            "claims-indefinite",
            "lengths are definite",
            raw(&[&[0xBF], &good[1..], &[0xFF]].concat()),
        ),
        malformed(
            "claims-huge-length",
            "a length is believed only as far as there are bytes",
            raw(&[&[0xBB], [0xFF; 8].as_slice(), &good[1..]].concat()),
        ),
        malformed(
            "claims-key-twice",
            "a key stands once",
            edit(|c| c.insert(1, ("exp", Number(EXP)))),
        ),
        malformed(
            "claims-key-order",
            "keys are in order",
            edit(|c| c.swap(0, 1)),
        ),
        malformed(
            "claims-key-type",
            "keys are text",
            raw(&[&[0xA4], &good[1..], &[0x01, 0x01]].concat()),
        ),
        malformed(
            "claims-key-unknown",
            "an unknown key may be a restriction",
            put(0, "aud", text("x")),
        ),
        malformed(
            "claims-key-issue",
            "`issue` is reserved",
            put(3, "issue", Map(vec![])),
        ),
        malformed(
            "kind-issue",
            "`kind` is reserved",
            put(3, "kind", text("issue")),
        ),
        malformed(
            "kind-default",
            "a default is encoded as absence",
            put(3, "kind", text("run")),
        ),
        malformed(
            "ten-default",
            "a default is encoded as absence",
            put(2, "ten", text("default")),
        ),
        malformed("ten-name", "a tenant is a name", put(2, "ten", text("a b"))),
        malformed(
            "exp-missing",
            "every token ends",
            edit(|c| drop(c.remove(0))),
        ),
        malformed(
            "iat-missing",
            "every token began",
            edit(|c| drop(c.remove(1))),
        ),
        malformed(
            "url-missing",
            "every token has code",
            edit(|c| drop(c.remove(2))),
        ),
        malformed(
            "exp-text",
            "times are unsigned integers",
            set(0, text("1800003600")),
        ),
        malformed(
            "exp-negative",
            "times are unsigned integers",
            set(0, Raw(vec![0x20])),
        ),
        malformed(
            "exp-float",
            "times are unsigned integers",
            set(
                0,
                Raw(vec![0xFB, 0x41, 0xDA, 0xD2, 0x74, 0x88, 0x00, 0x00, 0x00]),
            ),
        ),
        malformed(
            "exp-tagged",
            "nothing is tagged",
            set(0, Raw([vec![0xC1], Number(EXP).encode()].concat())),
        ),
        malformed(
            "exp-long",
            "integers are as short as they can be",
            set(0, Raw([&[0x1B], EXP.to_be_bytes().as_slice()].concat())),
        ),
        malformed(
            "exp-milliseconds",
            "no time is after the year 9999",
            set(0, Number(EXP * 1000)),
        ),
        malformed(
            "exp-maximum",
            "no time is after the year 9999",
            set(0, Number(u64::MAX)),
        ),
        malformed(
            "exp-before-iat",
            "a token ends after it began",
            set(1, Number(EXP)),
        ),
        malformed(
            "nbf-after-exp",
            "a token is valid at some time",
            put(2, "nbf", Number(EXP)),
        ),
        malformed(
            "iss-length",
            "a link id is 16 bytes",
            put(2, "iss", Array(vec![Bytes(vec![0; 15])])),
        ),
        malformed(
            "iss-empty",
            "nothing is encoded as absence",
            put(2, "iss", Array(vec![])),
        ),
        malformed(
            "lim-empty",
            "nothing is encoded as absence",
            put(2, "lim", Map(vec![])),
        ),
        malformed(
            "lim-unknown",
            "an unknown limit cannot be kept",
            put(2, "lim", Map(vec![("disk", Number(1))])),
        ),
        malformed(
            "lim-order",
            "keys are in order, shorter first",
            put(
                2,
                "lim",
                Map(vec![("calls", Number(1)), ("cpu", Number(1))]),
            ),
        ),
        malformed(
            "url-upper-case",
            "one spelling for one origin",
            set(2, text("https://EXAMPLE.com/a.wasm")),
        ),
        malformed(
            "url-default-port",
            "a default port is left out",
            set(2, text("https://example.com:443/a.wasm")),
        ),
        malformed(
            "url-port-zeros",
            "a port has no leading zeros",
            set(2, text("https://example.com:08443/a.wasm")),
        ),
        malformed("url-relative", "a URL is absolute", set(2, text("a.wasm"))),
        malformed(
            "url-userinfo",
            "credentials in a URL are read differently by different parsers",
            set(2, text("https://example.com@evil.test/a.wasm")),
        ),
        malformed(
            "url-backslash",
            "a backslash is read differently by different parsers",
            set(2, text("https://evil.test\\@example.com/a.wasm")),
        ),
        malformed(
            "url-scheme",
            "https, http, file or oci",
            set(2, text("data:,a")),
        ),
        malformed(
            "url-oci-open",
            "an image has a tag or a digest",
            set(2, text("oci://registry.example.com/team/task")),
        ),
        malformed(
            "url-oci-digest",
            "a digest is 64 hexadecimal digits in lower case",
            set(
                2,
                text(&format!(
                    "oci://registry.example.com/team/task@sha256:{}",
                    "AB".repeat(32)
                )),
            ),
        ),
        malformed(
            "url-oci-name",
            "the name of a repository is in lower case",
            set(2, text("oci://registry.example.com/Team/task:1")),
        ),
        malformed(
            "url-oci-dots",
            "the name of a repository has no dots beside each other",
            set(2, text("oci://registry.example.com/../task:1")),
        ),
        malformed(
            "url-oci-port",
            "the port of https is left out",
            set(2, text("oci://registry.example.com:443/team/task:1")),
        ),
        malformed(
            "url-oci-tag",
            "a tag is at most 128 characters",
            set(
                2,
                text(&format!(
                    "oci://registry.example.com/team/task:{}",
                    "a".repeat(129)
                )),
            ),
        ),
        malformed(
            "url-oci-query",
            "an image has no query",
            set(2, text("oci://registry.example.com/team/task:1?a")),
        ),
        malformed("url-utf8", "text is UTF-8", set(2, Raw(vec![0x61, 0xFF]))),
        malformed(
            "sha256-length",
            "a digest is 32 bytes",
            put(3, "sha256", Bytes(vec![0; 31])),
        ),
        malformed(
            "via-unknown",
            "an unknown carrier",
            put(3, "via", texts(&["cookie"])),
        ),
        malformed(
            "via-twice",
            "a carrier is named once",
            put(3, "via", texts(&["path", "path"])),
        ),
        malformed(
            "out-no-method",
            "a grant names methods",
            grant(&[], "https://h.test", "/"),
        ),
        malformed(
            "out-method-case",
            "methods are in upper case",
            grant(&["get"], "https://h.test", "/"),
        ),
        malformed(
            "out-origin-case",
            "an origin has one spelling",
            grant(&["GET"], "https://H.test", "/"),
        ),
        malformed(
            "out-origin-port",
            "an origin has one spelling",
            grant(&["GET"], "https://h.test:443", "/"),
        ),
        malformed(
            "out-origin-dot",
            "a host has no final dot",
            grant(&["GET"], "https://h.test.", "/"),
        ),
        malformed(
            "out-origin-number",
            "127.0.0.1 has one spelling",
            grant(&["GET"], "http://2130706433", "/"),
        ),
        malformed(
            "out-origin-hex",
            "127.0.0.1 has one spelling",
            grant(&["GET"], "http://127.0x1", "/"),
        ),
        malformed(
            "out-origin-hex-no-digit",
            "`0x` alone is the number 0 (WHATWG URL, IPv4 number parser)",
            grant(&["GET"], "http://h.0x", "/"),
        ),
        malformed(
            "out-origin-octal",
            "a last label of digits is a number",
            grant(&["GET"], "http://h.09", "/"),
        ),
        malformed(
            "url-hex-no-digit",
            "`0x` alone is the number 0 (WHATWG URL, IPv4 number parser)",
            set(2, text("http://0x/a.wasm")),
        ),
        malformed(
            "out-origin-mapped",
            "an IPv4 address is not written as IPv6",
            grant(&["GET"], "http://[::ffff:7f00:1]", "/"),
        ),
        malformed(
            "out-origin-star",
            "a wildcard stands below a name of two labels",
            grant(&["GET"], "https://*.com", "/"),
        ),
        malformed(
            "out-path-relative",
            "a path begins with /",
            grant(&["GET"], "https://h.test", "v1/*"),
        ),
        malformed(
            "out-path-dots",
            "a path has no dot segments",
            grant(&["GET"], "https://h.test", "/v1/../*"),
        ),
        path(
            "out-path-dots-parameter",
            "`..;` is `..` to servers that know path parameters",
            "/v1/..;/a",
        ),
        path(
            "out-path-dot-parameter",
            "`.;` is `.` to servers that know path parameters",
            "/v1/.;v=1/*",
        ),
        path(
            "out-path-dots-space",
            "`..%20` is `..` where spaces at an end are dropped",
            "/v1/..%20/a",
        ),
        path(
            "out-path-three-dots",
            "dots at an end are dropped by some servers",
            "/v1/.../a",
        ),
        path(
            "out-path-empty-parameter",
            "`/;/` is `//` to servers that know path parameters",
            "/v1/;v=1/a",
        ),
        path(
            "out-path-encoded-dot",
            "an encoded dot is a dot",
            "/v1/%2e%2e/a",
        ),
        path(
            "out-path-encoded-slash",
            "servers differ over an encoded slash",
            "/v1/a%2Fb",
        ),
        path(
            "out-path-encoded-backslash",
            "servers differ over an encoded backslash",
            "/v1/a%5Cb",
        ),
        path(
            "out-path-encoded-semicolon",
            "a proxy may decode it, and the server behind it cut there",
            "/v1/..%3B/a",
        ),
        path(
            "out-path-encoded-percent",
            "some decode twice",
            "/v1/%252e%252e/a",
        ),
        path(
            "out-path-encoded-question",
            "a proxy may decode it, and begin a query there",
            "/v1/a%3Fb",
        ),
        path(
            "out-path-encoded-hash",
            "a proxy may decode it, and begin a fragment there",
            "/v1/a%23b",
        ),
        path("out-path-encoded-nul", "NUL ends texts in C", "/v1/a%00"),
        path(
            "out-path-encoded-newline",
            "a line break may become one of a request",
            "/v1/a%0Ab",
        ),
        path(
            "out-path-encoded-delete",
            "DEL is a control character",
            "/v1/a%7F",
        ),
        path(
            "out-path-overlong",
            "`%C0%AE` is a dot to lenient decoders",
            "/v1/%C0%AE%C0%AE/a",
        ),
        path("out-path-utf8", "escapes make UTF-8", "/v1/%FF"),
        path(
            "out-path-utf8-cut",
            "escapes make UTF-8, before a `*` too",
            "/v1/%C3*",
        ),
        path(
            "out-path-half-escape",
            "an escape has two digits, before a `*` too",
            "/v1/%2*",
        ),
        malformed(
            "slot-path-parameter",
            "the path of a slot is plain",
            bound("v", slot("https://h.test", "/v1/..;/a", "a")),
        ),
        malformed(
            "slot-path-percent",
            "the path of a slot is plain",
            bound("v", slot("https://h.test", "/v1/%25/*", "a")),
        ),
        malformed(
            "url-file-parameter",
            "the path of a file URL is plain",
            set(2, text("file:///srv/..;/a.wasm")),
        ),
        malformed(
            "url-file-percent",
            "the path of a file URL is plain",
            set(2, text("file:///srv/%252e.wasm")),
        ),
        malformed(
            "out-path-star",
            "a star stands at the end",
            grant(&["GET"], "https://h.test", "/*/a"),
        ),
        malformed(
            "params-name",
            "names are 1 to 64 of [A-Za-z0-9_.-]",
            put(3, "params", Map(vec![("a=b", text(""))])),
        ),
        malformed(
            "params-nul",
            "a value goes into an environment, which ends at NUL",
            put(3, "params", Map(vec![("a", text("b\0c"))])),
        ),
        malformed(
            "secrets-name",
            "names are 1 to 64 of [A-Za-z0-9_.-]",
            secrets(vec![("", text("v"))]),
        ),
        malformed(
            "secrets-no-slot",
            "a readable secret is text",
            secrets(vec![("s", Array(vec![text("v")]))]),
        ),
        malformed(
            "secrets-order",
            "keys are in order",
            secrets(vec![("b", text("v")), ("a", text("v"))]),
        ),
        malformed(
            "slot-wildcard",
            "a slot names one host",
            bound("v", slot("https://*.h.test", "/", "a")),
        ),
        malformed(
            "slot-header-framing",
            "a slot frames no request",
            bound("v", slot("https://h.test", "/", "content-length")),
        ),
        malformed(
            "slot-header-case",
            "a header is in lower case",
            bound("v", slot("https://h.test", "/", "Authorization")),
        ),
        malformed(
            "slot-format",
            "a format has one place for the value",
            bound("v", texts(&["GET", "https://h.test", "/", "a", "{}{}"])),
        ),
        malformed(
            "slot-format-hmac",
            "an HMAC stands in a template with one place for it",
            bound(
                "v",
                texts(&["POST", "https://h.test", "/", "a", "hmac-sha256:sha256="]),
            ),
        ),
        malformed(
            "slot-format-hmac-other",
            "no text that begins like a format to come is a template",
            bound(
                "v",
                texts(&["POST", "https://h.test", "/", "a", "hmac-sha512:{}"]),
            ),
        ),
        basic(
            "slot-basic-colon",
            "a colon ends the user (RFC 7617 section 2)",
            "a:b",
        ),
        basic(
            "slot-basic-control",
            "a user has no control character",
            "a\tb",
        ),
        basic("slot-basic-space", "a user is not trimmed", "a "),
        basic(
            "slot-basic-utf8",
            "servers read other characters in different charsets",
            "\u{e4}",
        ),
        basic("slot-basic-place", "the value has one place", "a{}"),
        malformed(
            "slot-value-hmac-newline",
            "a key ends without the line break of the file that it was in",
            bound(
                "v\n",
                texts(&["POST", "https://h.test", "/", "a", "hmac-sha256:{}"]),
            ),
        ),
        malformed(
            "slot-items",
            "a slot has five items",
            bound("v", texts(&["GET", "https://h.test", "/", "a"])),
        ),
        malformed(
            "slot-value-newline",
            "a value cannot add a header",
            bound(NEWLINE, slot("https://h.test", "/", "a")),
        ),
        malformed(
            "slot-value-empty",
            "an empty value would make every response hold it",
            bound("", slot("https://h.test", "/", "a")),
        ),
        malformed(
            "slots-collide",
            "one header of one request has one value",
            secrets(vec![
                (
                    "a",
                    Array(vec![text("v"), slot("https://h.test", "/*", "a")]),
                ),
                (
                    "b",
                    Array(vec![text("w"), slot("https://h.test", "/b", "a")]),
                ),
            ]),
        ),
    ]
}

/// Sets the lowest of the trailing bits that must be zero.
pub(crate) fn loose(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = ALPHABET
        .iter()
        .position(|b| Some(*b) == text.bytes().last())
        .unwrap();
    assert!(!text.len().is_multiple_of(4) && last.is_multiple_of(4));
    format!(
        "{}{}",
        &text[..text.len() - 1],
        char::from(ALPHABET[last + 1])
    )
}
