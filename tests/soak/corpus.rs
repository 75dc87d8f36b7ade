//! Every guest of the tests, of both generations of WASI, with what makes it hurt; and what it calls.

use bytes::Bytes;
use http::Response;
use webtask_tests::{ALL, Origin, Raw, Slow, Then};
use webtask_token::{Secret, SecretClaim};

use crate::server::Server;

/// What is called, and what code comes from.
pub(crate) struct Place {
    /// Answers: `/big` with 4 MiB, `/code/` with no component, all else with a word.
    pub(crate) origin: Origin,
    /// Never ends an answer.
    pub(crate) slow: Slow,
    /// Speaks no HTTP.
    pub(crate) garbage: Raw,
}

impl Place {
    pub(crate) async fn start() -> Self {
        let big = Bytes::from(vec![b'b'; 4 << 20]);
        let answer = move |seen: &webtask_tests::Seen| {
            Response::new(match seen.path.as_str() {
                "/big" => big.clone(),
                path => Bytes::from(path.to_owned()),
            })
        };
        Self {
            origin: Origin::start(answer).await,
            slow: Slow::start(None).await,
            garbage: Raw::start("no HTTP at all\r\n\r\n", Then::Close).await,
        }
    }
}

/// One component, and how it is called.
pub(crate) struct Entry {
    pub(crate) token: String,
    pub(crate) path: String,
    pub(crate) body: usize,
}

/// Queries, and the bytes of the body, for a guest of this name.
fn calls(name: &str, place: &Place) -> Vec<(String, usize)> {
    let (ok, big) = (place.origin.url("/"), place.origin.url("/big"));
    let (slow, stuck) = (format!("{}/body", place.slow.url), &place.slow.url);
    let garbage = &place.garbage.url;
    let said: &[&str] = match name {
        "bigresponse" => &["bytes=8388608", "bytes=1000000"],
        "calls" => &[
            &format!("n=20&wide=12&url={ok}"),
            &format!("n=2&up=100000&way=abandon&url={ok}"),
            &format!("n=3&way=head&url={big}"),
            &format!("n=8&wide=2&up=1000000&url={ok}"),
            &format!("n=1&url={garbage}"),
        ],
        "denials" => &[&format!("n=50&url={ok}")],
        "fields" => &["n=1000&size=100", "n=3&size=100000&way=method"],
        "hasty" => &[
            &format!("first=200&between=200&url={slow}"),
            &format!("trailers=1&url={stuck}/"),
            "connect=100&url=http://127.0.0.1:9/",
        ],
        "headless" => &["ms=50"],
        "longline" => &["bytes=20000&times=20"],
        "memory" => &["mb=256", "mb=8"],
        "outbound" => &[&format!("url={ok}")],
        "random" => &["n=10000000", "n=65536&times=100"],
        "relay" => &[&format!("url={slow}"), &format!("url={big}")],
        "secrets" => &["print&get=key,nope"],
        "slowbody" => &["ms=50&n=1000"],
        "status" => &["status=204&ms=100"],
        "stdout" => &["lines=1000&size=200"],
        "table" | "waits" => &["n=1000000", "n=100000&way=timers", "n=100000&way=poll"],
        "thief" => &[
            "way=reflect_in_body",
            "way=reflect_in_pieces",
            "way=guess_by_what_is_held_back",
            "way=smuggle_a_request",
            "way=forced_gzip",
        ],
        "work" => &["n=20", "n=100000"],
        "early" | "echo" | "sip" | "upload" => {
            return vec![("/".into(), 500_000), ("/".into(), 4 << 20)];
        }
        _ => &[""],
    };
    said.iter().map(|query| (format!("/?{query}"), 0)).collect()
}

/// All of them, each with a token of its own.
pub(crate) fn all(server: &Server, place: &Place) -> Vec<Entry> {
    let grants = [
        &place.origin.url("/*"),
        &format!("{}/*", place.slow.url),
        &format!("{}*", place.garbage.url),
    ];
    let mut entries = Vec::new();
    for (name, wasm) in ALL {
        let token = server.seal("hostile", wasm, |claims| {
            for secret in ["key", "stripe-key", "other.key", "word", "api-key"] {
                let slot = format!(
                    "GET {} authorization: Bearer {{}}",
                    place.origin.url("/slot/*")
                );
                let bound = *name == "thief" && secret == "key";
                let secret_claim = SecretClaim {
                    value: Secret::new(format!("value-of-{secret}-0123456789")),
                    slots: bound
                        .then(|| slot.parse().expect("a slot"))
                        .into_iter()
                        .collect(),
                };
                claims.secrets.insert(secret.to_owned(), secret_claim);
            }
            claims.out = grants
                .iter()
                .map(|url| format!("GET,POST {url}").parse().expect("a grant"))
                .collect();
            let target = place.origin.address.to_string();
            claims.params.insert("target".to_owned(), target.clone());
            claims.params.insert("other".to_owned(), target);
        });
        for (path, body) in calls(name, place) {
            let token = token.clone();
            entries.push(Entry { token, path, body });
        }
    }
    entries
}
