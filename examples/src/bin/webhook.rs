//! Takes GitHub's webhooks, and believes only those that are signed as GitHub signs its own.
//!
//! Shows a readable secret that only checks, a bounded body, an answer by event and action, and cryptography from ordinary
//! crates.
//!
//! GitHub repeats no delivery by itself, but its users do: `x-github-delivery` is then the same, and in the log.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/webhook.wasm --sha256 …
//! --secret-file webhook-secret=secret.txt --via path`; a sender of webhooks cannot set headers, so it gets the token
//! in the URL.
//! Call: `curl -H "X-Hub-Signature-256: sha256=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -c1-64)"
//! -H 'X-GitHub-Event: issues' -H 'X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958' -d "$BODY"
//! http://localhost:8080/t/$TOKEN`

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webtask::{Body, Bytes, Error, Method, Request, Response, StatusCode, secrets};
use webtask_examples::unhex;

/// GitHub sends 25 MiB at most; a runtime takes 16 MiB unless its limit request-bytes says otherwise.
const MAX_BODY: usize = 25 * 1024 * 1024;

/// What all events have, as far as it is used here.
#[derive(serde::Deserialize)]
struct Payload {
    action: Option<String>,
    repository: Option<Repository>,
}

#[derive(serde::Deserialize)]
struct Repository {
    full_name: String,
}

#[webtask::main(secrets("webhook-secret"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let event = request.header("x-github-event");
    let delivery = request.header("x-github-delivery");
    let body = signed(request).await?;
    // Signed by whoever has the secret, so what is missing is a mistake and no attack.
    let event = event.ok_or_else(|| Error::bad_request("no x-github-event"))?;
    let delivery = delivery.as_deref().unwrap_or("none");
    let payload: Payload = Body::from(body).json().await?;

    let action = payload.action.as_deref().unwrap_or("none");
    let repository = payload
        .repository
        .map_or("none".to_owned(), |repository| repository.full_name);
    webtask::log::info!("delivery {delivery}: {event}, action {action}, of {repository}");
    let did = match (event.as_str(), action) {
        ("ping", _) => "pong",
        ("issues", "opened") => "would greet who opened it",
        _ => "nothing to do",
    };
    let mut response = webtask::json(&serde_json::json!({
        "event": event, "action": action, "delivery": delivery, "did": did,
    }))?;
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The body, if it is signed.
async fn signed(request: Request) -> Result<Bytes, Error> {
    let signature = request.header("x-hub-signature-256");
    let signature = signature
        .as_deref()
        .and_then(|text| unhex(text.strip_prefix("sha256=")?));
    let signature = signature.ok_or_else(|| Error::unauthorized("no valid x-hub-signature-256"))?;
    let body = request.into_body().bytes_up_to(MAX_BODY).await?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secrets::get("webhook-secret")?.as_bytes())?;
    mac.update(&body);
    // Takes the same time wherever the first difference is.
    mac.verify_slice(&signature)
        .map_err(|_| Error::unauthorized("the signature does not match"))?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::Request;
    use webtask::testing::World;

    /// GitHub's documentation has this secret, this text and this signature.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &str = "Hello, World!";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    async fn call(signature: &str, body: &'static str) -> u16 {
        let request = Request::post("https://run.example/")
            .header("x-hub-signature-256", signature)
            .header("x-github-event", "ping")
            .header("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
            .body(body);
        let world = World::new().secret("webhook-secret", SECRET);
        let response = world.call(main, request.build().expect("a request")).await;
        response.status().as_u16()
    }

    #[webtask::test]
    async fn the_documented_signature_is_taken_and_no_other() {
        // It holds; the text is no JSON, which is another matter than 401.
        assert_eq!(call(SIGNATURE, BODY).await, 400);
        for (signature, body) in [
            (SIGNATURE, "Hello, World?"),
            ("sha256=00", BODY),
            ("", BODY),
            ("sha1=757107ea", BODY),
            (&SIGNATURE[7..], BODY),
            (&SIGNATURE[..70], BODY),
        ] {
            assert_eq!(call(signature, body).await, 401, "{signature:?} {body:?}");
        }
    }
}
