//! A guest's log: `wasi:logging`, stdout and stderr, one bounded stream of records per invocation.
//!
//! A guest's text can never forge a record or a terminal sequence: it is one escaped field.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{
    bindings::wasi::logging::logging::{self, Level},
    invocation::Invocation,
};
use crate::{Limit, ctx::Ctx, meter::Spent, rights::Rights};

/// Records of one invocation about what it was denied.
const DENIALS: u32 = 20;

/// Bytes that are taken of a stream at once, and of a record of the host's own.
const PIECE: usize = 8 << 10;

pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    logging::add_to_linker::<_, HasLog>(linker, |ctx| View(&ctx.log))
}

struct HasLog;
impl HasData for HasLog {
    type Data<'a> = View<'a>;
}

struct View<'a>(&'a GuestLog);

impl logging::Host for View<'_> {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        self.0.line(level, &context, message.as_bytes());
        Ok(())
    }
}

/// The log of one invocation. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Shared>);

struct Shared {
    invocation: Arc<Invocation>,
    rights: Arc<Rights>,
    spent: Arc<Spent>,
    left: Mutex<Left>,
}

struct Left {
    lines: u64,
    bytes: u64,
    cut: bool,
    /// Records of the host about what was denied: the guest chooses how often, so they are few.
    denials: u32,
}

impl GuestLog {
    pub(crate) fn new(invocation: Arc<Invocation>, rights: Arc<Rights>, spent: Arc<Spent>) -> Self {
        let limits = &rights.limits;
        let left = Left {
            lines: limits.log_lines,
            bytes: limits.log_bytes,
            cut: false,
            denials: DENIALS,
        };
        Self(Arc::new(Shared {
            invocation,
            rights,
            spent,
            left: Mutex::new(left),
        }))
    }

    /// One record of the guest's. Past the limits one last record says that the log was cut.
    fn line(&self, level: Level, context: &str, text: &[u8]) {
        let size = context.len().saturating_add(text.len()) as u64;
        let fits = {
            let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
            if left.lines == 0 || left.bytes < size {
                if !left.cut {
                    self.hit(match left.lines {
                        0 => Limit::LogLines,
                        _ => Limit::LogBytes,
                    });
                }
                let first = !left.cut;
                left.cut = true;
                left.lines = 0;
                if !first {
                    return;
                }
                false
            } else {
                left.lines = left.lines.saturating_sub(1);
                left.bytes = left.bytes.saturating_sub(size);
                true
            }
        };
        if fits {
            if text.len() > self.longest() {
                self.hit(Limit::LogLine);
            }
            self.emit(level, context, text, self.longest());
        } else {
            self.host(
                Level::Warn,
                "log cut: the invocation reached its limit of log lines or bytes",
            );
        }
    }

    /// Remembers that a limit refused something.
    pub(crate) fn hit(&self, limit: Limit) {
        self.0.spent.hit(limit);
    }

    /// Bytes of the longest line of the guest's that stays one record.
    fn longest(&self) -> usize {
        usize::try_from(self.0.rights.limits.log_line).unwrap_or(usize::MAX)
    }

    /// Whether the limits are used up, and nothing more is recorded.
    fn is_cut(&self) -> bool {
        let left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.cut
    }

    /// A record for the author about a power that was denied, with what would grant it.
    pub(crate) fn denied(&self, text: &str) {
        let left = {
            let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
            let before = left.denials;
            left.denials = before.saturating_sub(1);
            before
        };
        match left {
            0 => {}
            1 => self.host(Level::Warn, "more was denied, and is not logged"),
            _ => self.host(Level::Warn, text),
        }
    }

    /// Counts an outbound call that was refused or failed, for the metrics.
    pub(super) fn call_failed(&self, reason: &'static str) {
        self.0.invocation.observed.metrics.call_failed(reason);
    }

    /// A record for the author about how the invocation failed.
    pub(crate) fn failed(&self, text: &str) {
        self.host(Level::Error, text);
    }

    /// A text for the log, at most `max` bytes.
    pub(crate) fn shown(&self, text: &[u8], max: usize) -> String {
        self.0.rights.shown(text, max)
    }

    fn host(&self, level: Level, text: &str) {
        self.emit(level, "webtask", text.as_bytes(), PIECE);
    }

    fn emit(&self, level: Level, context: &str, text: &[u8], most: usize) {
        let Invocation {
            request_id,
            token_id,
            tenant,
            component,
            ..
        } = &*self.0.invocation;
        let (request_id, token_id, tenant) = (&**request_id, &**token_id, &**tenant);
        let component = &**component;
        let context = &*self.shown(context.as_bytes(), 128);
        let text = &*self.shown(text, most);
        // Texts as fields, which are quoted: a guest cannot write a field of its own into the line.
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(target: "webtask::guest", tracing::Level::$level, text, context, request_id, token_id, tenant, component)
            };
        }
        match level {
            Level::Trace => emit!(TRACE),
            Level::Debug => emit!(DEBUG),
            Level::Info => emit!(INFO),
            Level::Warn => emit!(WARN),
            Level::Error | Level::Critical => emit!(ERROR),
        }
    }
}

/// stdout or stderr of one invocation: each line becomes a record.
pub(crate) struct LineStream {
    log: GuestLog,
    level: Level,
    name: &'static str,
}

impl LineStream {
    pub(crate) fn stdout(log: &GuestLog) -> Self {
        Self {
            log: log.clone(),
            level: Level::Info,
            name: "stdout",
        }
    }

    pub(crate) fn stderr(log: &GuestLog) -> Self {
        Self {
            log: log.clone(),
            level: Level::Warn,
            name: "stderr",
        }
    }

    fn writer(&self) -> Lines {
        Lines {
            log: self.log.clone(),
            level: self.level,
            name: self.name,
            line: self.log.longest(),
            longest: self.log.0.rights.longest_secret(),
            partial: Vec::new(),
        }
    }
}

impl IsTerminal for LineStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.writer())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.writer())
    }
}

/// Gathers bytes into lines; what is left when the stream goes is a line too.
struct Lines {
    log: GuestLog,
    level: Level,
    name: &'static str,
    /// Bytes of the longest line that stays one record; a longer one becomes several.
    line: usize,
    /// Bytes of the longest text that is masked.
    longest: usize,
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        if self.log.is_cut() {
            return;
        }
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.partial.extend_from_slice(text);
            self.cut(self.longest);
            if ends {
                self.end();
            }
        }
    }

    /// Makes records of what is too long for one, but for `rest` bytes: a secret may begin in them.
    fn cut(&mut self, rest: usize) {
        let most = self.line;
        while self.partial.len() > most.saturating_add(rest) && !self.log.is_cut() {
            self.log.hit(Limit::LogLine);
            let reach = self.partial.get(..most.saturating_add(self.longest));
            let spans = self
                .log
                .0
                .rights
                .secret_spans(reach.unwrap_or(&self.partial));
            let across = spans.iter().find(|(span, _)| span.contains(&most));
            // Of a limit of nothing there would be no end.
            let end = across.map_or(most.max(1), |(span, _)| span.end);
            let line: Vec<u8> = self.partial.drain(..end).collect();
            self.log.line(self.level, self.name, &line);
        }
    }

    fn end(&mut self) {
        self.cut(0);
        let line = std::mem::take(&mut self.partial);
        self.log.line(self.level, self.name, &line);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end();
        }
    }
}

/// For WASI 0.3, which offers all that the guest wrote: only a part is taken at once, because nothing
/// interrupts the host.
impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.get(..PIECE).unwrap_or(bytes);
        self.push(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// For WASI 0.2.
impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE)
    }
}

#[async_trait::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}
