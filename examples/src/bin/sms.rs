//! Sends text messages with Twilio's API: whoever has the token may send, from one number and in one account, and neither
//! they nor this code can read the account's password.
//!
//! Shows basic authentication by a bound secret, a form out, JSON in and out, and which of the provider's errors are the
//! caller's fault.
//!
//! The secret `auth-token` is that of the account, whose SID is the user. `--limit rate=` bounds what a stolen token costs.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/sms.wasm --sha256 …
//! --param account=AC0123456789abcdef0123456789abcdef --param from=+15005550006 --param api=https://api.twilio.com
//! --secret-env auth-token=TWILIO_AUTH_TOKEN --bind 'auth-token=POST
//! https://api.twilio.com/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json authorization:
//! basic:AC0123456789abcdef0123456789abcdef' --limit rate=10
//! --allow 'POST https://api.twilio.com/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages.json'`
//! Call: `curl -H "Authorization: Bearer $TOKEN" -d '{"to":"+15558675310","text":"Your code is 4711"}'
//! http://localhost:8080/run`

use std::time::Duration;

use webtask::{Error, Method, Request, Response, StatusCode, header, params};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    to: String,
    text: String,
}

/// Twilio's answer, as much of it as is read.
#[derive(serde::Deserialize, serde::Serialize)]
struct Sent {
    sid: String,
    status: String,
}

/// Twilio's answer to what it refuses.
#[derive(serde::Deserialize)]
struct Refused {
    code: u32,
    message: String,
}

#[webtask::main(secrets("auth-token"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let body = request.into_body().bytes_up_to(16 * 1024).await?;
    let message: Message = webtask::Body::from(body).json().await?;
    check(&message)?;

    let (api, account) = (params::require("api")?, params::require("account")?);
    let response = Request::post(format!("{api}/2010-04-01/Accounts/{account}/Messages.json"))
        .form(&[
            ("To", message.to.as_str()),
            ("From", &params::require("from")?),
            ("Body", &message.text),
        ])
        .timeout(Duration::from_secs(8))
        .send()
        .await
        .map_err(|cause| Error::bad_gateway("Twilio cannot be reached").with_source(cause))?;

    match response.status() {
        status if status.is_success() => {
            let sent: Sent = response.into_body().json().await?;
            webtask::log::info!("sent {}, {}", sent.sid, sent.status);
            let mut answer = webtask::json(&sent)?;
            *answer.status_mut() = StatusCode::ACCEPTED;
            Ok(answer)
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let busy = Error::new(StatusCode::SERVICE_UNAVAILABLE, "too many messages at once");
            Err(busy.with_header(header::RETRY_AFTER, webtask::HeaderValue::from_static("5")))
        }
        status => {
            let refused: Refused = response.into_body().json().await?;
            Err(explain(status, &refused))
        }
    }
}

/// 21211 and its like are about the number that the caller named. All others are between this webtask and Twilio.
fn explain(status: StatusCode, refused: &Refused) -> Error {
    let cause = format!(
        "Twilio answered {status}, {}: {}",
        refused.code, refused.message
    );
    match refused.code {
        21211 | 21614 => Error::bad_request("to: not a number that takes text messages"),
        21408 => Error::bad_request("to: no messages are sent to this country"),
        21610 => Error::bad_request("to: has asked for no more messages"),
        _ => Error::bad_gateway("Twilio refused the message"),
    }
    .with_source(cause)
}

fn check(message: &Message) -> Result<(), Error> {
    let digits = message.to.strip_prefix('+').unwrap_or_default();
    if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = "to: a number as in E.164, + and 7 to 15 digits, such as +15558675310";
        return Err(Error::bad_request(what));
    }
    if !(1..=1600).contains(&message.text.chars().count()) {
        return Err(Error::bad_request("text: from 1 to 1600 characters"));
    }
    Ok(())
}
