//! Bound secrets: the host sends them, to where the token says, and nobody reads them.

mod echo;
mod needs;
mod reflection;
mod slots;
mod thief;

use bytes::Bytes;
use echo::{Echo, base64};
use http::Request;
use http_body_util::Full;
use webtask_tests::{Reply, TestHost, claims_for};
use webtask_token::{Claims, Secret, SecretClaim};

use super::{built::guests, calls::loopback};

/// No four characters of it stand in anything by chance.
const VALUE: &str = "q7Zt-X9vK2mW4+L8pY.D6bN&HsJ1";

fn secret(value: &str, slots: &[&str]) -> SecretClaim {
    SecretClaim {
        value: Secret::new(value.to_owned()),
        slots: slots
            .iter()
            .map(|slot| slot.parse().expect("a slot"))
            .collect(),
    }
}

/// `key`, bound to `authorization` below `/slot/` of the echo, with a grant for all of it.
fn bound_claims(wasm: &str, echo: &Echo) -> Claims {
    let mut claims = claims_for(wasm);
    let at = echo.address;
    let slots = ["GET", "POST"]
        .map(|method| format!("{method} http://{at}/slot/* authorization: Bearer {{}}"));
    claims.secrets.insert(
        "key".into(),
        secret(VALUE, &slots.each_ref().map(String::as_str)),
    );
    claims.out = vec![format!("* http://{at}/*").parse().expect("a grant")];
    claims
}

/// A call through the guest `outbound`, with fields as `name: value`.
async fn call(
    host: &TestHost,
    token: &str,
    method: &str,
    url: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Reply {
    let uri = format!("/run?method={method}&url={url}");
    let mut request = Request::post(uri).header("webtask-token", token);
    for (name, value) in fields {
        request = request.header(format!("x-send-{name}"), *value);
    }
    let body = Full::new(Bytes::from(body.to_owned()));
    host.send(request.body(body).expect("a request")).await
}

/// A part of the value, in any form that the echo knows, that stands in `bytes`.
fn betrayed(bytes: &[u8]) -> Option<String> {
    let turned: String = VALUE
        .chars()
        .map(|c| match c {
            'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
            'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
            other => other,
        })
        .collect();
    let spread =
        |text: &str, each: fn(u8) -> Vec<u8>| text.bytes().flat_map(each).collect::<Vec<u8>>();
    let mut forms = vec![
        (VALUE.as_bytes().to_vec(), 4),
        (turned.into_bytes(), 4),
        (spread(VALUE, |byte| format!("{byte:02x}").into_bytes()), 10),
        (
            spread(VALUE, |byte| format!("%{byte:02x}").into_bytes()),
            12,
        ),
        (spread(VALUE, |byte| vec![0, byte]), 8),
    ];
    for before in ["", "a", "aa"] {
        for last in [b"+/", b"-_"] {
            let text = base64(format!("{before}{VALUE}").as_bytes(), last);
            forms.push((text.as_bytes()[4..36].to_vec(), 7));
        }
    }
    let bytes = bytes.to_ascii_lowercase();
    forms.iter().find_map(|(form, size)| {
        let form = form.to_ascii_lowercase();
        let mut parts = form.windows(*size);
        let part = parts.find(|part| bytes.windows(*size).any(|window| window == *part))?;
        Some(String::from_utf8_lossy(part).into_owned())
    })
}

#[test]
fn what_betrays_is_seen() {
    for said in [
        VALUE.to_owned(),
        VALUE.to_uppercase(),
        VALUE[7..12].to_owned(),
        base64(format!("x{VALUE}").as_bytes(), b"+/"),
    ] {
        assert!(betrayed(said.as_bytes()).is_some(), "{said}");
    }
    assert_eq!(betrayed(b"authorization: Bearer {} key 127.0.0.1"), None);
}

/// The value reached the origin in the one header of its slot, and nowhere else in any request.
fn assert_only_in_its_header(echo: &Echo) {
    for wire in echo.seen() {
        let slot = wire.path().starts_with("/slot/")
            && (wire.head.starts_with("GET ") || wire.head.starts_with("POST "));
        let sent = format!("Bearer {VALUE}");
        let expected = if slot { vec![sent.as_str()] } else { vec![] };
        assert_eq!(wire.fields("authorization"), expected, "{wire:?}");
        assert_eq!(wire.head.matches(VALUE).count(), expected.len(), "{wire:?}");
        assert_eq!(betrayed(&wire.body), None, "{wire:?}");
    }
}
