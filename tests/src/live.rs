//! A reader of a host's live log.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use serde_json::Value;

use crate::{Reply, SOON, TestHost, exchange};

/// One event of the stream.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// `log`, `invocation`, `dropped` or `end`.
    pub name: String,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its data.
    pub data: Value,
}

impl Event {
    /// What a line says.
    pub fn message(&self) -> &str {
        self.data["message"].as_str().unwrap_or_default()
    }
}

/// A stream that has begun.
#[derive(Debug)]
pub struct Live {
    /// The fields of the answer.
    pub headers: HeaderMap,
    body: Incoming,
    read: String,
    /// Comments that were sent.
    pub comments: usize,
}

fn request(
    address: SocketAddr,
    token: &str,
    query: &str,
    fields: &[(&str, &str)],
) -> Request<Empty<Bytes>> {
    let mut request = Request::get(format!("/v1/logs?{query}"))
        .header("host", address.to_string())
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).expect("a request")
}

impl Live {
    /// Takes a response that is a live log.
    pub fn of(response: http::Response<Incoming>) -> Self {
        assert_eq!(response.status(), 200, "{response:?}");
        let (head, body) = response.into_parts();
        assert_eq!(head.headers["content-type"], "text/event-stream");
        Self {
            headers: head.headers,
            body,
            read: String::new(),
            comments: 0,
        }
    }

    /// The next event; none when the stream has ended well. Panics if there is none soon.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.read.split_once("\n\n") {
                let block = block.to_owned();
                self.read = rest.to_owned();
                match event_of(&block) {
                    Some(event) => return Some(event),
                    None => self.comments += usize::from(block.starts_with(':')),
                }
                continue;
            }
            let frame = tokio::time::timeout(SOON, self.body.frame()).await;
            let frame = frame.expect("something happens")?.expect("a whole stream");
            let data = frame.into_data().expect("no trailers");
            self.read
                .push_str(std::str::from_utf8(&data).expect("UTF-8"));
        }
    }

    /// Events up to the first that is this one.
    pub async fn until(&mut self, last: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
            if events.last().is_some_and(&last) {
                return events;
            }
        }
        panic!("it ended before: {events:#?}");
    }

    /// All events until it ends.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn event_of(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", name)) => event.name = name.to_owned(),
            Some(("id", id)) => event.id = Some(id.to_owned()),
            Some(("data", data)) => event.data = serde_json::from_str(data).expect("JSON"),
            _ => {}
        }
    }
    (!event.name.is_empty()).then_some(event)
}

impl TestHost {
    /// A live log with `token`.
    pub async fn live(&self, token: &str, query: &str) -> Live {
        self.live_with(token, query, &[]).await
    }

    /// The same with more header fields.
    pub async fn live_with(&self, token: &str, query: &str, fields: &[(&str, &str)]) -> Live {
        let request = request(self.address, token, query, fields);
        Live::of(exchange(self.address, request).await)
    }

    /// What is answered to whoever may not read.
    pub async fn unread(&self, token: &str, query: &str, fields: &[(&str, &str)]) -> Reply {
        let mut request = request(self.address, token, query, fields);
        if token.is_empty() {
            request.headers_mut().remove("authorization");
        }
        self.send(request).await
    }

    /// What is kept for `token`.
    pub async fn history(&self, token: &str) -> Vec<Event> {
        self.live(token, "follow=false").await.rest().await
    }

    /// What the author reads of one request, with how it ended as the last.
    pub async fn told(&self, token: &str, request_id: &str) -> Vec<Event> {
        let mut live = self.live(token, &format!("text={request_id}")).await;
        let of_request = |event: &Event| event.data["request_id"] == request_id;
        let events = live.until(|event| event.name == "invocation" && of_request(event));
        let mut events = events.await;
        events.retain(of_request);
        events
    }
}
