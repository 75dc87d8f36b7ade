//! Takes webhooks that are signed as GitHub signs its own, and believes no others.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webtask::{Body, Bytes, Error, Method, Request, Response, StatusCode, log, secrets};

/// Bytes of the largest body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// As much of an event as is looked at.
#[derive(serde::Deserialize)]
struct Event {
    action: Option<String>,
}

#[webtask::main(secrets("webhook-secret"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let name = request.header("x-github-event");
    let body = signed(request).await?;
    let name = name.ok_or_else(|| Error::bad_request("no x-github-event"))?;
    let event: Event = Body::from(body).json().await?;
    let action = event.action.as_deref().unwrap_or("none");
    log::info!("event {name}, action {action}");

    // Here is where something happens.
    let mut response = webtask::text("taken\n");
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

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    (plain && digits.len() == 64).then(|| digits.as_bytes().chunks(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::{Request, testing::World};

    /// GitHub's documentation has this secret, this text and this signature.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &str = "Hello, World!";
    const SIGNATURE: &str =
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    async fn call(signature: &str, body: &'static str) -> u16 {
        let request = Request::post("https://run.example/")
            .header("x-hub-signature-256", signature)
            .header("x-github-event", "ping")
            .body(body);
        let world = World::new().secret("webhook-secret", SECRET);
        let response = world.call(main, request.build().unwrap()).await;
        response.status().as_u16()
    }

    #[webtask::test]
    async fn what_is_signed_is_read_and_nothing_else() {
        // It is signed, and no JSON: that is another matter than 401.
        assert_eq!(call(SIGNATURE, BODY).await, 400);
        assert_eq!(call(SIGNATURE, "Hello, World?").await, 401);
        assert_eq!(call("sha256=00", BODY).await, 401);
        assert_eq!(call("", BODY).await, 401);
    }
}
