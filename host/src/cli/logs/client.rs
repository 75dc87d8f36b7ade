//! The live log of a runtime, over one connection.

use std::{collections::VecDeque, time::Duration};

use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use webtask_host::chain;

use super::sse::{Event, Parser};

/// How long to wait for a connection, and for the answer to begin.
const LIMIT: Duration = Duration::from_secs(30);
/// The runtime sends something every 15 seconds: a connection that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Why there is no live log, or no more of it.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection could not be made, or broke: it may be worth another attempt.
    Lost(String),
    /// The runtime refuses for the moment; after so many seconds it may not.
    Later(u64, String),
    /// The runtime refuses.
    Refused(String),
}

/// What the runtime says when it refuses (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    title: String,
    request_id: String,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) host: &'a str,
    pub(crate) level: Option<&'a str>,
    pub(crate) text: Option<&'a str>,
    pub(crate) follow: bool,
}

/// A connection that gives events.
#[derive(Debug)]
pub(crate) struct Live {
    body: Incoming,
    waiting: VecDeque<Event>,
    pub(crate) parser: Parser,
}

impl Wanted<'_> {
    fn url(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("level", self.level), ("text", self.text)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("follow", if self.follow { "true" } else { "false" });
        let host = self.host.trim_end_matches('/');
        format!("{host}/v1/logs?{}", query.finish())
    }

    /// Connects, and goes on after the event `last_id` if it is one.
    pub(crate) async fn open(&self, token: &str, last_id: &str) -> Result<Live, Trouble> {
        let url = self.url();
        let mut request = Request::get(&url)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::ACCEPT, "text/event-stream");
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        // Not the error's text: it may be of the header, which is the token.
        let request = request
            .body(Full::default())
            .map_err(|_| Trouble::Refused(format!("{} or the token cannot be sent", self.host)))?;
        let sent = webtask_host::send(request, LIMIT).await;
        let response =
            sent.map_err(|error| Trouble::Lost(format!("{}: {}", self.host, chain(&error))))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Live {
                body: response.into_body(),
                waiting: VecDeque::new(),
                parser: Parser::default(),
            });
        }
        let after = response.headers().get(header::RETRY_AFTER);
        let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        let body = Limited::new(response.into_body(), 64 << 10).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let text = match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => format!(
                "{} {}: {} (request {})",
                status.as_u16(),
                problem.code,
                problem.title,
                problem.request_id
            ),
            Err(_) => format!("{url} answered {status}"),
        };
        Err(match (after, status.is_server_error()) {
            (Some(seconds), _) => Trouble::Later(seconds, text),
            (None, true) => Trouble::Later(1, text),
            (None, false) => Trouble::Refused(text),
        })
    }
}

impl Live {
    /// The next event; none when the answer has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Trouble> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let frame = frame
                .map_err(|_| Trouble::Lost(format!("the runtime was silent for {SILENCE:?}")))?;
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|error| Trouble::Lost(chain(&error)))?;
            let data = frame.into_data().unwrap_or_default();
            let events = self.parser.push(&data);
            self.waiting.extend(events.map_err(|_| {
                Trouble::Refused(
                    "an event is larger than a megabyte; is that a webtask runtime?".into(),
                )
            })?);
        }
    }
}
