//! Server-sent events: a response that goes on while things happen, as `EventSource` in browsers reads it.
//!
//! ```
//! use webtask::{Error, Request, Response, sse};
//!
//! async fn count(_: Request) -> Result<Response, Error> {
//!     Ok(sse::response(async |events| {
//!         for n in 1..=3_u32 {
//!             events.send(sse::Event::data(n.to_string()).id(n.to_string())).await;
//!             webtask::sleep(std::time::Duration::from_secs(1)).await;
//!         }
//!         Ok(())
//!     }))
//! }
//! ```
//!
//! The invocation lasts as long as the response, and the host bounds both by its limit `wall`. A browser comes back after
//! that by itself, with the last id in the header `last-event-id`.
use crate::{Body, Error, Response, Writer};
use http::{HeaderValue, header};
use std::time::Duration;

/// A response of status 200 whose events `write` sends.
///
/// It ends when `write` returns. If that is with an error, the error is logged and the connection broken.
pub fn response<F>(write: F) -> Response
where
    F: AsyncFnOnce(&mut Events<'_>) -> Result<(), Error> + 'static,
{
    let body = Body::stream(async |writer| write(&mut Events { writer }).await);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static("text/event-stream");
    headers.append(header::CONTENT_TYPE, media_type);
    let no_store = HeaderValue::from_static("no-store");
    headers.append(header::CACHE_CONTROL, no_store);
    response
}

/// Where events are sent.
#[derive(Debug)]
pub struct Events<'a> {
    writer: &'a mut Writer,
}

impl Events<'_> {
    /// Sends an event, and returns once the host has taken it. If the reader is gone this never returns.
    pub async fn send(&mut self, event: Event) {
        self.writer.write(event.0 + "\n").await;
    }

    /// Sends a comment that no reader sees, so that what is on the way does not take the connection for dead. Once in
    /// 15 seconds is usual.
    pub async fn keep_alive(&mut self) {
        self.writer.write(":\n\n").await;
    }
}

/// An event. No text that it is made of can end it, or begin another field or event.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use = "an event does nothing until it is sent"]
pub struct Event(String);

impl Event {
    /// An event with this data, of one line or of several. `\r\n` and `\r` reach the reader as `\n`.
    pub fn data(data: impl AsRef<str>) -> Self {
        let mut text = String::new();
        let data = data.as_ref().replace("\r\n", "\n");
        for line in data.split(['\n', '\r']) {
            text += "data: ";
            text += line;
            text += "\n";
        }
        Self(text)
    }

    /// An event whose data is `value` as JSON.
    ///
    /// # Errors
    /// If `value` cannot be said in JSON, as a map whose keys are not text.
    #[cfg(feature = "json")]
    pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self::data(serde_json::to_string(value)?))
    }

    /// Sets what kind of event it is: what `addEventListener` names. Without, it is a `message`.
    pub fn event(self, name: impl AsRef<str>) -> Self {
        self.field("event", name.as_ref())
    }

    /// Sets the id that the reader comes back with after it lost the connection.
    pub fn id(self, id: impl AsRef<str>) -> Self {
        self.field("id", id.as_ref())
    }

    /// Sets how long the reader waits before it comes back, in whole milliseconds.
    pub fn retry(self, wait: Duration) -> Self {
        self.field("retry", &wait.as_millis().to_string())
    }

    /// Line ends would begin another field, and readers ignore an id with a NUL: all are left out.
    fn field(mut self, name: &str, value: &str) -> Self {
        self.0 += name;
        self.0 += ": ";
        self.0
            .extend(value.chars().filter(|c| !['\n', '\r', '\0'].contains(c)));
        self.0 += "\n";
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    #[test]
    fn no_text_ends_its_field_or_begins_another() {
        let event = Event::data("a\nb\r\nc\rdata: d\n")
            .event("x\ndata: y")
            .id("1\r\n\n2\0")
            .retry(Duration::from_millis(1500));
        assert_eq!(
            event.0,
            "data: a\ndata: b\ndata: c\ndata: data: d\ndata: \nevent: xdata: y\nid: 12\nretry: 1500\n"
        );
        assert_eq!(Event::data("").0, "data: \n");
        assert_eq!(Event::data(" a").0, "data:  a\n");
    }

    #[test]
    fn each_event_is_a_piece_of_its_own() {
        let response = response(async |events| {
            events.keep_alive().await;
            events.send(Event::data("1")).await;
            Ok(())
        });
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        for piece in [":\n\n", "data: 1\n\n"] {
            let next = block_on(body.chunk())
                .expect("a piece")
                .expect("another one");
            assert_eq!(next, piece.as_bytes());
        }
        assert!(block_on(body.chunk()).expect("its end").is_none());
    }
}
