//! One connection: its handshake, which protocol it speaks, its requests, its end. What a peer lets one wait
//! for has a time here, each phase its own.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, header, uri::Scheme};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use super::{
    Shared,
    hangup::HangUp,
    listen::Plain,
    stall::Stalling,
    stream::{Begun, Stream},
    streams::{Paced, Streams},
};
use crate::Limits;

/// The longest time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// About the bytes of a request's head, over HTTP/2 as RFC 9113, section 6.5.2, counts them; longer ones are
/// answered 431 by hyper.
const HEAD_BYTES: u32 = 64 << 10;
/// What is read of an HTTP/1.1 connection at once, and kept of an answer: a body of 64 KiB fits with its head.
const BUFFER: usize = 80 << 10;
/// Bytes of a body that a peer may send over HTTP/2 before a guest reads them: of one stream, and of all of one
/// connection. The second is what the connection may hold.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of an answer that h2 keeps for a peer that has not taken them.
const SEND_BUFFER: usize = 64 << 10;
/// Streams that a peer may reset before they were accepted, and that may be reset for its errors, on one
/// connection; then the connection ends (rapid reset, CVE-2023-44487).
const EARLY_RESETS: usize = 20;
const ERROR_RESETS: usize = 256;

/// A connection that is ready for requests.
struct Ready {
    io: Begun,
    is_http2: bool,
    scheme: Scheme,
}

/// Serves one connection until it ends.
pub(super) async fn serve(plain: Plain, shared: &Arc<Shared>) {
    let limits = shared.host.limits();
    let begun = tokio::select! {
        begun = begin(plain, shared, limits) => begun,
        // Nothing was asked yet.
        () = shared.draining() => return,
    };
    let served = match begun {
        Ok(Ready {
            io,
            is_http2: true,
            scheme,
        }) => serve_http2(io, scheme, shared).await,
        Ok(Ready {
            io,
            is_http2: false,
            scheme,
        }) => serve_http1(io, scheme, shared).await,
        Err(error) => {
            tracing::debug!(%error, "connection not begun");
            return;
        }
    };
    // What ends a connection is the peer's affair: resets, time-outs, bad requests.
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

/// Shakes hands, and finds out which protocol follows.
async fn begin(plain: Plain, shared: &Shared, limits: &Limits) -> io::Result<Ready> {
    let (stream, scheme) = match plain {
        Plain::Unix(stream) => {
            let stream = Stream::Unix(Stalling::new(stream, limits.stall));
            (stream, Scheme::HTTP)
        }
        Plain::Tcp(stream) => {
            no_delay(&stream);
            let stream = Stalling::new(HangUp::new(stream), limits.stall);
            let Some(tls) = &shared.tls else {
                return sniffed(Stream::Tcp(stream), Scheme::HTTP, limits).await;
            };
            let shaking = tls.acceptor().accept(stream);
            let stream = tokio::time::timeout(limits.head.min(HANDSHAKE), shaking).await??;
            // RFC 9113, section 3.2: HTTP/2 over TLS is agreed on in the handshake, or not spoken.
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            return Ok(Ready {
                io: Begun::unread(Stream::Tls(Box::new(stream))),
                is_http2,
                scheme: Scheme::HTTPS,
            });
        }
    };
    sniffed(stream, scheme, limits).await
}

async fn sniffed(stream: Stream, scheme: Scheme, limits: &Limits) -> io::Result<Ready> {
    let (io, is_http2) = tokio::time::timeout(limits.head, Begun::sniffed(stream)).await??;
    Ok(Ready {
        io,
        is_http2,
        scheme,
    })
}

async fn serve_http1(io: Begun, scheme: Scheme, shared: &Arc<Shared>) -> hyper::Result<()> {
    let host = shared.host.clone();
    let limits = shared.host.limits();
    let service = service_fn(move |mut request: Request<Incoming>| {
        said(&mut request, &scheme);
        let host = host.clone();
        async move { Ok::<_, Infallible>(host.handle(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        // Without a timer the time-out for the head does nothing.
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.header_fields)
        .max_buf_size(BUFFER)
        .max_header_size(HEAD_BYTES as usize);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        ended = &mut connection => return ended,
        () = shared.draining() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

async fn serve_http2(io: Begun, scheme: Scheme, shared: &Arc<Shared>) -> hyper::Result<()> {
    let host = shared.host.clone();
    let limits = shared.host.limits();
    let service = service_fn(move |mut request: Request<Incoming>| {
        said(&mut request, &scheme);
        join_cookies(request.headers_mut());
        let host = host.clone();
        async move { Ok::<_, Infallible>(host.handle(request).await.map(Paced::new)) }
    });
    let streams = Streams::new(limits);
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.stall)
        .keep_alive_timeout(limits.stall)
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        ended = &mut connection => return ended,
        () = streams.idle(limits.idle) => {}
        () = shared.draining() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection => ended,
        // One that keeps silent after the goodbye is left.
        () = streams.idle(limits.stall) => Ok(()),
    }
}

/// Tells the host how the request came; one that says nothing came in the clear.
fn said(request: &mut Request<Incoming>, scheme: &Scheme) {
    if *scheme == Scheme::HTTPS {
        request.extensions_mut().insert(scheme.clone());
    }
}

fn no_delay(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
}

/// HTTP/2 may send one `cookie` in several fields; a guest that reads one gets all (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_several_fields_are_one() {
        let mut headers = HeaderMap::new();
        for cookie in ["a=1", "b=2; c=3", "d=4"] {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        join_cookies(&mut headers);
        let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3; d=4"]);
    }
}
