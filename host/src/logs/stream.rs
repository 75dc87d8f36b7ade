//! The live log as server-sent events (WHATWG HTML, section 9.2): what a reader gets, as bytes of an answer.

use std::{
    fmt::Write as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use super::{
    Reader,
    reader::{Because, Entry},
};
use crate::{Error, admission::Place, deadline, record::Record};

/// A comment goes out when nothing else did for so long: proxies close connections that are silent for a minute or
/// less, and a reader that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a reader's token is looked at again.
const CHECK: Duration = Duration::from_secs(1);
/// Bytes after which events go out; what waits goes with the next ones.
const BATCH: usize = 32 << 10;
/// What a browser waits for before it comes back, in milliseconds; and bytes at once, so that a reader sees that it
/// is one.
const HELLO: &str = "retry: 3000\n\n";

/// Whether the token may still read; else the code that a request would be answered with.
pub(crate) type Standing = Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>;

/// Where the events of one reader come from.
pub(crate) struct Source {
    reader: Reader,
    standing: Standing,
    ended: watch::Receiver<bool>,
    /// Goes on when the history is out.
    follow: bool,
    begun: bool,
    over: bool,
    checked: Instant,
    /// When something was last sent.
    sent: Instant,
}

/// Data of the event `dropped`.
#[derive(Serialize)]
struct Dropped {
    count: Option<u64>,
    because: Because,
}

/// Data of the event `end`.
#[derive(Serialize)]
struct End<'a> {
    code: &'a str,
}

impl Source {
    pub(crate) fn new(
        reader: Reader,
        standing: Standing,
        ended: watch::Receiver<bool>,
        follow: bool,
    ) -> Self {
        Self {
            reader,
            standing,
            ended,
            follow,
            begun: false,
            over: false,
            checked: Instant::now(),
            sent: Instant::now(),
        }
    }

    /// The next bytes, once there are any; none when it is over.
    async fn next(mut self) -> Option<(Self, Bytes)> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some((self, Bytes::from_static(HELLO.as_bytes())));
        }
        loop {
            if self.over {
                return None;
            }
            let text = self.events();
            if !text.is_empty() {
                self.sent = Instant::now();
                return Some((self, text.into()));
            }
            if !self.follow {
                return None;
            }
            let beat = deadline::after(self.sent, HEARTBEAT);
            let check = deadline::after(self.checked, CHECK);
            // An error is that of a host which is gone.
            let ended = async { drop(self.ended.wait_for(|ended| *ended).await) };
            let silent = tokio::select! {
                () = self.reader.grown() => false,
                () = tokio::time::sleep_until(check) => false,
                () = tokio::time::sleep_until(beat) => true,
                () = ended => false,
            };
            if silent {
                self.sent = Instant::now();
                return Some((self, Bytes::from_static(b":\n\n")));
            }
        }
    }

    /// What is to be sent now: nothing more of a token that is no longer good.
    fn events(&mut self) -> String {
        if *self.ended.borrow() || self.ended.has_changed().is_err() {
            return self.end("draining");
        }
        let now = Instant::now();
        if now.saturating_duration_since(self.checked) >= CHECK {
            self.checked = now;
            if let Err(code) = (self.standing)() {
                return self.end(code);
            }
        }
        let mut text = String::new();
        while text.len() < BATCH
            && let Some(entry) = self.reader.next()
        {
            self.event(&mut text, &entry);
        }
        text
    }

    /// The last event.
    fn end(&mut self, code: &str) -> String {
        self.over = true;
        let data = serde_json::to_string(&End { code }).unwrap_or_default();
        format!("event: end\ndata: {data}\n\n")
    }

    fn event(&self, text: &mut String, entry: &Entry) {
        // Writing to a String cannot fail. No data has a line break: it is JSON.
        let _ = match entry {
            Entry::Line(line) => write!(
                text,
                "event: {}\nid: {}\ndata: {}\n\n",
                line.event(),
                self.reader.id(line),
                line.json()
            ),
            Entry::Dropped(count, because) => {
                let (count, because) = (*count, *because);
                let data = serde_json::to_string(&Dropped { count, because });
                write!(
                    text,
                    "event: dropped\ndata: {}\n\n",
                    data.unwrap_or_default()
                )
            }
        };
    }
}

type Next = Pin<Box<dyn Future<Output = Option<(Source, Bytes)>> + Send>>;

/// The body of an answer that is a live log.
pub struct LogBody {
    /// None when it is over.
    next: Option<Next>,
    record: Record,
    _place: Place,
}

impl std::fmt::Debug for LogBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogBody").finish_non_exhaustive()
    }
}

impl LogBody {
    /// `place` is that of a reader, and free with the body.
    pub(crate) fn new(source: Source, mut record: Record, place: Place) -> Self {
        // A live log has no end of its own: whoever leaves it had what he wanted.
        record.answered();
        Self {
            next: Some(Box::pin(source.next())),
            record,
            _place: place,
        }
    }
}

impl Body for LogBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Some(next) = &mut this.next else {
            return Poll::Ready(None);
        };
        let Some((source, bytes)) = ready!(next.as_mut().poll(cx)) else {
            this.next = None;
            return Poll::Ready(None);
        };
        this.record.sent = this.record.sent.saturating_add(bytes.len() as u64);
        this.next = Some(Box::pin(source.next()));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use super::*;
    use crate::{
        Limits,
        logs::{About, Filter, Level, Logs, Scope, What},
    };

    fn say(logs: &Logs, text: &str) {
        let about = Arc::new(About {
            request_id: "r-1".into(),
            token_id: "t".into(),
            tenant: "a".into(),
            links: Box::default(),
            iss: Box::default(),
        });
        let (context, text) = ("stdout".to_owned(), text.to_owned());
        logs.write(&about, Level::Info, What::Said { context, text });
    }

    fn source(logs: &Logs, good: &Arc<AtomicBool>, follow: bool) -> Source {
        let good = good.clone();
        let standing = move || match good.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("token-revoked"),
        };
        let filter = Filter::new(Scope::Tenant, Level::Trace, "");
        let reader = logs.read(&"a".into(), filter, None);
        Source::new(reader, Box::new(standing), logs.ended(), follow)
    }

    async fn next(source: Source) -> (Source, String) {
        let (source, bytes) = source.next().await.unwrap();
        (source, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_log_has_a_heartbeat() {
        let logs = Logs::new("p", &Limits::default());
        let (source, text) = next(source(&logs, &Arc::new(true.into()), true)).await;
        assert_eq!(text, HELLO);
        let begun = Instant::now();
        let (source, text) = next(source).await;
        assert_eq!((text.as_str(), begun.elapsed()), (":\n\n", HEARTBEAT));
        say(&logs, "x");
        let (source, text) = next(source).await;
        assert!(text.starts_with("event: log\nid: p-0\ndata: {"), "{text}");
        assert!(text.ends_with("}\n\n"), "{text}");
        let (_, text) = next(source).await;
        assert_eq!((text.as_str(), begun.elapsed()), (":\n\n", HEARTBEAT * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_good_no_more_reads_no_more() {
        let logs = Logs::new("p", &Limits::default());
        let good = Arc::new(AtomicBool::new(true));
        let (source, _) = next(source(&logs, &good, true)).await;
        let begun = Instant::now();
        good.store(false, Ordering::Relaxed);
        let (source, text) = next(source).await;
        assert_eq!(text, "event: end\ndata: {\"code\":\"token-revoked\"}\n\n");
        assert!(begun.elapsed() <= CHECK);
        assert!(source.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_ends_with_the_host_or_with_its_history() {
        let logs = Logs::new("p", &Limits::default());
        let good = Arc::new(AtomicBool::new(true));
        say(&logs, "kept");
        let (history, _) = next(source(&logs, &good, false)).await;
        let (history, text) = next(history).await;
        assert!(text.contains("kept"), "{text}");
        assert!(history.next().await.is_none());
        let (follows, _) = next(source(&logs, &good, true)).await;
        let (follows, _) = next(follows).await;
        logs.end();
        let (follows, text) = next(follows).await;
        assert_eq!(text, "event: end\ndata: {\"code\":\"draining\"}\n\n");
        assert!(follows.next().await.is_none());
    }

    /// A line is JSON in one line, whatever it says.
    #[tokio::test(start_paused = true)]
    async fn no_text_ends_its_event() {
        let logs = Logs::new("p", &Limits::default());
        let (source, _) = next(source(&logs, &Arc::new(true.into()), true)).await;
        say(&logs, "a\n\nevent: end\ndata: x\r\rid: y\u{2028}");
        let (_, text) = next(source).await;
        assert_eq!(text.matches('\n').count(), 4, "{text:?}");
        assert!(!text.contains('\r'), "{text:?}");
    }
}
