//! Answers a command in Slack, `/deploy staging`: only to Slack, and only to what Slack sent in the last five minutes.
//!
//! Shows Slack's signature v0 over a timestamp and the body, its window against replays, a form in and JSON out, which
//! Slack wants within three seconds.
//!
//! The signing secret only checks, so it is a readable one. Slack cannot set headers, so the token stands in the URL that
//! you give to Slack as the command's.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/slack.wasm --sha256 …
//! --secret-env signing-secret=SLACK_SIGNING_SECRET --via path --limit wall=3s`
//! Call: `NOW=$(date +%s); curl -H "X-Slack-Request-Timestamp: $NOW" -H "X-Slack-Signature: v0=$(printf 'v0:%s:%s' "$NOW" "$BODY" |
//! openssl dgst -sha256 -hmac "$SLACK_SIGNING_SECRET" -r | cut -c1-64)" -d "$BODY" http://localhost:8080/t/$TOKEN`

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use webtask::{Body, Bytes, Error, Method, Request, Response, secrets};
use webtask_examples::{unhex, unix_now};

/// As Slack's documentation has it: what is older, or newer, may be a replay.
const WINDOW: u64 = 5 * 60;

/// Of the fields that Slack sends, those that are used here.
#[derive(serde::Deserialize)]
struct Command {
    command: String,
    #[serde(default)]
    text: String,
    user_name: String,
}

/// `in_channel` shows the text to all, `ephemeral` to the user alone.
#[derive(serde::Serialize)]
struct Answer {
    response_type: &'static str,
    text: String,
}

#[webtask::main(secrets("signing-secret"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let body = signed(request, unix_now()).await?;
    let command: Command = Body::from(body).form().await?;
    webtask::log::info!("{} of {}", command.command, command.user_name);
    let (response_type, text) = answer(&command);
    webtask::json(&Answer {
        response_type,
        text,
    })
}

fn answer(command: &Command) -> (&'static str, String) {
    let Command {
        user_name,
        text,
        command,
    } = command;
    match (command.as_str(), text.trim()) {
        ("/deploy", "") => (
            "ephemeral",
            "Say what to deploy: `/deploy staging`".to_owned(),
        ),
        ("/deploy", what) => (
            "in_channel",
            format!("{user_name} deploys {}", escape(what)),
        ),
        _ => ("ephemeral", format!("There is no command {command} here")),
    }
}

/// In Slack's markup these three begin something, such as `<!channel>`, which would alert everybody.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The body, if Slack signed it and not long ago.
async fn signed(request: Request, now: u64) -> Result<Bytes, Error> {
    let refused = || Error::unauthorized("the request is not signed by Slack");
    let timestamp = request
        .header("x-slack-request-timestamp")
        .ok_or_else(refused)?;
    let signature = request.header("x-slack-signature").ok_or_else(refused)?;
    let signature = signature
        .strip_prefix("v0=")
        .and_then(unhex)
        .ok_or_else(refused)?;
    let sent: u64 = timestamp.parse().map_err(|_| refused())?;
    if now.abs_diff(sent) > WINDOW {
        return Err(Error::unauthorized(
            "the request is not of the last five minutes",
        ));
    }
    let body = request.into_body().bytes_up_to(64 * 1024).await?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secrets::get("signing-secret")?.as_bytes())?;
    for part in [b"v0:", timestamp.as_bytes(), b":", &body] {
        mac.update(part);
    }
    // Takes the same time wherever the first difference is.
    mac.verify_slice(&signature).map_err(|_| refused())?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::signed;
    use webtask::testing::World;
    use webtask::{Error, Request};

    /// Slack's documentation has this secret, this request and this signature.
    const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
    const SENT: u64 = 1_531_420_618;
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    const BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

    async fn check(
        timestamp: &str,
        signature: &str,
        body: &'static str,
        now: u64,
    ) -> Result<(), u16> {
        let request = Request::post("https://run.example/")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature)
            .body(body);
        let world = World::new().secret("signing-secret", SECRET);
        let checked = signed(request.build().expect("a request"), now);
        let status = |error: Error| error.status().as_u16();
        world.run(checked).await.map(drop).map_err(status)
    }

    #[webtask::test]
    async fn the_documented_request_is_taken_in_its_window_only() {
        let sent = SENT.to_string();
        for (now, taken) in [
            (SENT, Ok(())),
            (SENT + 300, Ok(())),
            (SENT - 300, Ok(())),
            (SENT + 301, Err(401)),
            (SENT - 301, Err(401)),
        ] {
            assert_eq!(check(&sent, SIGNATURE, BODY, now).await, taken, "{now}");
        }
    }

    #[webtask::test]
    async fn anything_else_is_not() {
        let sent = SENT.to_string();
        let later = (SENT + 1).to_string();
        for (timestamp, signature, body) in [
            (later.as_str(), SIGNATURE, BODY),
            (&sent, &SIGNATURE[3..], BODY),
            (&sent, &SIGNATURE[..66], BODY),
            (&sent, "v0=", BODY),
            (&sent, SIGNATURE, "token=x"),
            ("now", SIGNATURE, BODY),
        ] {
            assert_eq!(
                check(timestamp, signature, body, SENT).await,
                Err(401),
                "{timestamp} {signature}"
            );
        }
    }
}
