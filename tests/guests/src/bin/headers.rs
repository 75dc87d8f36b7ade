//! Sets response headers that are the host's, beside one that is its own; says which were refused.
use webtask_test_guests::{
    Fields, IncomingRequest, OutgoingBody, ResponseOutparam, begin, raw, write,
};

raw!(handle);

const HEADERS: [(&str, &str); 4] = [
    ("webtask-source", "guest-lie"),
    ("webtask-request-id", "x"),
    ("webtask-error", "overloaded"),
    ("set-cookie", "a=b"),
];

fn handle(_: IncomingRequest, out: ResponseOutparam) {
    let refused =
        |(name, value): &&(&str, &str)| Fields::new().append(name, value.as_bytes()).is_err();
    let refused: Vec<_> = HEADERS
        .iter()
        .filter(refused)
        .map(|(name, _)| *name)
        .collect();
    let body = begin(out, &HEADERS);
    write(&body, refused.join(",").as_bytes());
    let _ = OutgoingBody::finish(body, None);
}
