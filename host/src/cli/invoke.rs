//! `webtask invoke`: one webtask request from the command line.

use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde::Deserialize;

use webtask_host::chain;

use super::{Failure, block_on, print};

/// Call a webtask
///
/// Sends the token in the header `webtask-token` and prints the answer's body on stdout. Exit status 1
/// if the answer is an error.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  webtask invoke \"$TOKEN\"
  webtask invoke \"$TOKEN\" /orders?id=7 -H 'accept: application/json'
  webtask invoke \"$TOKEN\" -d '{\"amount\":1999}' --host https://run.example.com")]
pub(crate) struct InvokeCommand {
    /// The token, or - to read it from stdin
    token: String,
    /// The path that the webtask sees, with its query
    #[arg(default_value = "/")]
    path: String,
    /// The method [default: GET, or POST with a body]
    #[arg(short = 'X', long, value_name = "METHOD")]
    request: Option<String>,
    /// A header field, `name: value`; may be repeated
    #[arg(short = 'H', long, value_name = "FIELD")]
    header: Vec<String>,
    /// The request's body; @FILE reads a file
    #[arg(short = 'd', long, value_name = "BODY")]
    data: Option<String>,
    /// Also print the answer's status and header fields, on stderr
    #[arg(short = 'i', long)]
    include: bool,
    /// The runtime to call
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "WEBTASK_HOST"
    )]
    host: String,
    /// How long to wait for a connection, and for the answer to begin
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

/// What the host says when it answers itself (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    title: String,
}

impl InvokeCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let limit = Duration::from_secs(self.timeout);
        let (include, host) = (self.include, self.host.clone());
        let request = self.build()?;
        block_on(async move {
            let response = webtask_host::send(request, limit).await.map_err(|error| {
                Failure::usage(format!("{host}: {}", chain(&error))).hint("is the runtime running? start it with: webtask serve; or name another one with --host")
            })?;
            if include {
                eprintln!("{:?} {}", response.version(), response.status());
                for (name, value) in response.headers() {
                    eprintln!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
                }
            }
            answer(response).await
        })
    }

    fn build(self) -> Result<Request<Full<bytes::Bytes>>, Failure> {
        let token = match self.token.as_str() {
            "-" => std::io::read_to_string(std::io::stdin())
                .map_err(|error| Failure::usage(format!("cannot read the token: {error}")))?,
            token => token.to_owned(),
        };
        let body = match self
            .data
            .as_deref()
            .map(|data| (data, data.strip_prefix('@')))
        {
            None => None,
            Some((_, Some(path))) => Some(
                std::fs::read(path)
                    .map_err(|error| Failure::usage(format!("cannot read {path}: {error}")))?,
            ),
            Some((text, None)) => Some(text.as_bytes().to_vec()),
        };
        let method = match &self.request {
            Some(method) => Method::from_bytes(method.as_bytes())
                .map_err(|_| Failure::usage(format!("{method:?} is no method")))?,
            None if body.is_some() => Method::POST,
            None => Method::GET,
        };
        let path = self.path.strip_prefix('/').unwrap_or(&self.path);
        let uri = format!("{}/run/{path}", self.host.trim_end_matches('/'));
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header("webtask-token", token.trim());
        for field in &self.header {
            let parsed = field.split_once(':').and_then(|(name, value)| {
                Some((
                    HeaderName::from_bytes(name.trim().as_bytes()).ok()?,
                    HeaderValue::from_str(value.trim()).ok()?,
                ))
            });
            let (name, value) = parsed.ok_or_else(|| {
                Failure::usage(format!("{field:?} is no header field")).hint("write 'name: value'")
            })?;
            request = request.header(name, value);
        }
        request
            .body(Full::from(body.unwrap_or_default()))
            .map_err(|error| {
                Failure::usage(format!("{uri} or the token cannot be sent: {error}")).hint(
                    "--host takes a URL such as http://127.0.0.1:8080; a token is one line of text",
                )
            })
    }
}

/// Prints the body as it comes; an error of the host's becomes one line.
async fn answer(response: Response<Incoming>) -> Result<(), Failure> {
    let status = response.status();
    let by_host = response
        .headers()
        .get("webtask-source")
        .is_some_and(|source| source == "host");
    let request_id = response
        .headers()
        .get("webtask-request-id")
        .map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned())
        .unwrap_or_default();
    let in_log = format!("the host's log has the cause under the request id {request_id}");
    let mut body = response.into_body();
    let broken = |error: hyper::Error| {
        Failure::refused(format!("the answer broke off: {error}")).hint(in_log.clone())
    };
    if by_host && !status.is_success() {
        let whole = http_body_util::Limited::new(body, 64 << 10)
            .collect()
            .await
            .map_err(|error| {
                Failure::refused(format!("the answer broke off: {error}")).hint(in_log.clone())
            })?
            .to_bytes();
        return Err(match serde_json::from_slice::<Problem>(&whole) {
            Ok(problem) => Failure::refused(format!(
                "{} {}: {}",
                status.as_u16(),
                problem.code,
                problem.title
            ))
            .hint(in_log),
            Err(_) => Failure::refused(format!("the host answered {status}")),
        });
    }
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.map_err(broken)?.data_ref() {
            print(data)?;
        }
    }
    if status.is_client_error() || status.is_server_error() {
        return Err(Failure::refused(format!("the webtask answered {status}")).hint(in_log));
    }
    Ok(())
}
