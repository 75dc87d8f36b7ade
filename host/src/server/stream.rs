//! A connection's bytes, whatever carries them, and what was read of them to see which protocol they are.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::UnixStream,
};
use tokio_rustls::server::TlsStream;

use super::{hangup::HangUp, stall::Stalling};

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4). No request of HTTP/1.1 does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A socket that was accepted.
pub(super) enum Stream {
    Tcp(Stalling<HangUp>),
    Tls(Box<TlsStream<Stalling<HangUp>>>),
    Unix(Stalling<UnixStream>),
}

/// A stream of which the first bytes were read.
pub(super) struct Begun {
    read: Bytes,
    stream: Stream,
}

impl Begun {
    /// With nothing read.
    pub(super) fn unread(stream: Stream) -> Self {
        Self {
            read: Bytes::new(),
            stream,
        }
    }

    /// Reads until it is clear whether the peer speaks HTTP/2. Takes as long as the peer does.
    pub(super) async fn sniffed(mut stream: Stream) -> io::Result<(Self, bool)> {
        let mut read = Vec::with_capacity(PREFACE.len());
        // What differs from the preface is no HTTP/2, from the first byte that does.
        while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
            let missing = PREFACE.len().saturating_sub(read.len()) as u64;
            if (&mut stream).take(missing).read_buf(&mut read).await? == 0 {
                break;
            }
        }
        let is_http2 = read == PREFACE;
        let read = read.into();
        Ok((Self { read, stream }, is_http2))
    }
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.read.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let length = this.read.len().min(buf.remaining());
        buf.put_slice(this.read.get(..length).unwrap_or_default());
        this.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Does the same with whichever it is.
macro_rules! each {
    ($stream:expr, $inner:ident => $does:expr) => {
        match $stream {
            Stream::Tcp($inner) => $does,
            Stream::Tls($inner) => $does,
            Stream::Unix($inner) => $does,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(&mut *self, inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, inner => Pin::new(inner).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, inner => inner.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut *self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}
