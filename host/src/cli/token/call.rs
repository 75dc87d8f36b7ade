//! The runtime's own interface, called with a token: JSON there and back.

use std::time::Duration;

use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::{Failure, block_on};

/// How long to wait for a connection, and for the answer to begin.
const LIMIT: Duration = Duration::from_secs(30);

/// What the runtime says when it refuses (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    title: String,
    request_id: Option<String>,
    /// What to mend, each in words.
    #[serde(default)]
    errors: Vec<String>,
}

/// Posts `body` to `path` with `token` as the bearer.
pub(super) fn post(
    host: &str,
    path: &str,
    token: &str,
    body: &impl Serialize,
) -> Result<Value, Failure> {
    let uri = format!("{}{path}", host.trim_end_matches('/'));
    let body = serde_json::to_vec(body)
        .map_err(|error| Failure::usage(format!("cannot write the request: {error}")))?;
    let request = Request::post(&uri)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, body.len())
        .body(Full::from(body))
        .map_err(|_| {
            // Not the error's text: it may be of the header, which is the token.
            Failure::usage(format!("{uri} or the token cannot be sent")).hint(
                "--host takes a URL such as http://127.0.0.1:8080; a token is one line of text",
            )
        })?;
    block_on(async move {
        let response = webtask_host::send(request, LIMIT).await.map_err(|error| {
            Failure::usage(format!("{uri}: {error}")).hint("is the runtime running there?")
        })?;
        let status = response.status();
        let body = Limited::new(response.into_body(), 64 << 10).collect().await;
        let body = body
            .map_err(|error| Failure::refused(format!("the answer broke off: {error}")))?
            .to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| Failure::refused(format!("{uri} answered something else than JSON")));
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => refusal(status.as_u16(), problem),
            Err(_) => Failure::refused(format!("{uri} answered {status}")),
        })
    })
}

fn refusal(status: u16, problem: Problem) -> Failure {
    let Problem {
        code,
        title,
        request_id,
        errors,
    } = problem;
    let mut message = format!("{status} {code}: {title}");
    if let Some(id) = request_id {
        message.push_str(&format!(" (request {id})"));
    }
    for line in errors {
        message.push_str(&format!("\n  {}", line.escape_debug()));
    }
    Failure::refused(message)
}
