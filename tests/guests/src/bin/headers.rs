//! Sets response headers that are the host's, among them all of CORS, beside one that is its own; says which were refused.
use webtask_test_guests::{Fields, raw};

const HEADERS: [(&str, &str); 10] = [
    ("webtask-source", "guest-lie"),
    ("webtask-request-id", "x"),
    ("webtask-error", "overloaded"),
    ("set-cookie", "a=b"),
    ("access-control-allow-origin", "*"),
    ("Access-Control-Allow-Origin", "https://evil.example"),
    ("access-control-allow-credentials", "true"),
    ("access-control-allow-methods", "DELETE"),
    ("access-control-allow-headers", "webtask-token"),
    ("access-control-max-age", "86400"),
];

fn refused() -> String {
    let refused =
        |(name, value): &&(&str, &str)| Fields::new().append(name, value.as_bytes()).is_err();
    let refused = HEADERS.iter().filter(refused).map(|(name, _)| *name);
    refused.collect::<Vec<_>>().join(",")
}

#[cfg(not(feature = "p3"))]
raw!(|_, out| {
    use webtask_test_guests::{OutgoingBody, begin, write};
    let body = begin(out, &HEADERS);
    write(&body, refused().as_bytes());
    let _ = OutgoingBody::finish(body, None);
});

#[cfg(feature = "p3")]
raw!(async |_| Ok(webtask_test_guests::response(&HEADERS, refused())));
