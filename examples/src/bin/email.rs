//! Mails what a contact form holds, by a mail API: a public page may call this, and can mail nobody but you.
//!
//! Shows a bound secret in a header of its own (`x-postmark-server-token`), JSON both ways, and a token whose parameters
//! say what its holder must not choose: sender and receiver.
//!
//! The API is Postmark's. `--limit rate=` bounds what a stolen token costs.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/email.wasm --sha256 …
//! --param api=https://api.postmarkapp.com --param from=web@example.com --param to=you@example.com --limit rate=10
//! --secret-env server-token=POSTMARK_TOKEN
//! --bind 'server-token=POST https://api.postmarkapp.com/email x-postmark-server-token: {}'
//! --allow 'POST https://api.postmarkapp.com/email'`
//! Call: `curl -H "Authorization: Bearer $TOKEN" --data-urlencode reply=ada@example.com --data-urlencode subject=Engines
//! --data-urlencode 'text=When will it be ready?' http://localhost:8080/run`

use std::time::Duration;

use webtask::{Error, Method, Request, Response, StatusCode, params};

/// What the page's `<form>` sends.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Contact {
    reply: String,
    subject: String,
    text: String,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Mail<'a> {
    from: &'a str,
    to: &'a str,
    reply_to: &'a str,
    subject: &'a str,
    text_body: &'a str,
    message_stream: &'a str,
}

/// Postmark's answer: the code is 0 if the mail is on its way.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    error_code: u32,
    message: String,
    #[serde(rename = "MessageID")]
    message_id: Option<String>,
}

#[webtask::main(secrets("server-token"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let body = request.into_body().bytes_up_to(32 * 1024).await?;
    let contact: Contact = webtask::Body::from(body).form().await?;
    check(&contact)?;

    let api = params::require("api")?;
    let response = Request::post(format!("{api}/email"))
        .header("accept", "application/json")
        .json(&Mail {
            from: &params::require("from")?,
            to: &params::require("to")?,
            reply_to: &contact.reply,
            subject: &contact.subject,
            text_body: &contact.text,
            message_stream: "outbound",
        })
        .timeout(Duration::from_secs(8))
        .send()
        .await
        .map_err(|cause| {
            Error::bad_gateway("the mail service cannot be reached").with_source(cause)
        })?;

    let status = response.status();
    let answer: Answer = response.into_body().json().await?;
    if !status.is_success() || answer.error_code != 0 {
        let cause = format!(
            "it answered {status}, {}: {}",
            answer.error_code, answer.message
        );
        let error = match answer.error_code {
            300 => Error::bad_request("reply: not an address that mail can be sent to"),
            _ => Error::bad_gateway("the mail service refused the mail"),
        };
        return Err(error.with_source(cause));
    }
    webtask::log::info!("mailed {}", answer.message_id.as_deref().unwrap_or("it"));
    let mut response = webtask::text("Thank you, it is on its way.\n");
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// JSON keeps line ends inside of their value, so nothing here can add a header to the mail. Readers like one line.
fn check(contact: &Contact) -> Result<(), Error> {
    let is_line = |text: &str| !text.trim().is_empty() && !text.chars().any(char::is_control);
    let is_address = |text: &str| {
        let parts = text.split_once('@');
        parts.is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.contains('@')
        })
    };
    let reply = &contact.reply;
    if !is_line(reply) || !is_address(reply) || reply.len() > 254 || reply.contains([' ', ',', '<'])
    {
        return Err(Error::bad_request(
            "reply: one address, such as ada@example.com",
        ));
    }
    if !is_line(&contact.subject) || contact.subject.chars().count() > 200 {
        return Err(Error::bad_request(
            "subject: one line of 1 to 200 characters",
        ));
    }
    if contact.text.trim().is_empty() {
        return Err(Error::bad_request("text: is empty"));
    }
    Ok(())
}
