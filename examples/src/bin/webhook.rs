//! Takes webhooks, and believes only those that are signed as GitHub signs its own.
//!
//! Shows a readable secret that only checks, a bounded body, and cryptography from ordinary crates.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/webhook.wasm --sha256 …
//! --secret-file webhook-secret=secret.txt --via path`; a sender of webhooks cannot set headers, so it gets the token
//! in the URL.
//! Call: `curl -H "X-Hub-Signature-256: sha256=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -c1-64)"
//! -H 'X-GitHub-Event: issues' -d "$BODY" http://localhost:8080/t/$TOKEN`

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webtask::{Error, HeaderMap, Request, Response, StatusCode, secrets};

/// GitHub sends 25 MiB at most; a runtime takes 16 MiB unless its limit request-bytes says otherwise.
const MAX_BODY: usize = 25 * 1024 * 1024;

#[derive(serde::Deserialize)]
struct Payload {
    action: Option<String>,
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let signature = signature(&head.headers)
        .ok_or_else(|| Error::unauthorized("no valid x-hub-signature-256"))?;
    let body = body.bytes_up_to(MAX_BODY).await?;

    let mut mac = Hmac::<Sha256>::new_from_slice(secrets::get("webhook-secret")?.as_bytes())?;
    mac.update(&body);
    // Takes the same time wherever the first difference is.
    mac.verify_slice(&signature)
        .map_err(|_| Error::unauthorized("the signature does not match"))?;

    let payload: Payload = serde_json::from_slice(&body)
        .map_err(|_| Error::bad_request("the body is not a JSON object"))?;
    let event = head
        .headers
        .get("x-github-event")
        .and_then(|event| event.to_str().ok())
        .unwrap_or("unknown");
    let action = payload.action.as_deref().unwrap_or("none");
    webtask::log::info!("event {event}, action {action}");
    let mut response = webtask::json(&serde_json::json!({ "event": event, "action": action }))?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The 32 bytes behind `sha256=`.
fn signature(headers: &HeaderMap) -> Option<[u8; 32]> {
    let hex = headers
        .get("x-hub-signature-256")?
        .to_str()
        .ok()?
        .strip_prefix("sha256=")?;
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}
