//! stdout and stderr of a guest: bytes into lines, and lines into records.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{GuestLog, Level, PIECE};
use crate::Limit;

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
