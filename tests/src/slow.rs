//! An origin that does not end its answers, and sees when its caller gives one up.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::SOON;

/// A running origin, stopped with all its connections when dropped. `/body` gets a head and one piece of a
/// body, every other path nothing at all.
pub struct Slow {
    /// `http://127.0.0.1:port`, or `https`; a path goes after it.
    pub url: String,
    begun: Arc<Semaphore>,
    left: Arc<Semaphore>,
    _served: JoinSet<()>,
}

/// Tells when the answer that holds it is given up: its connection has ended, or its stream is reset.
struct Held(Arc<Semaphore>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// One piece, and no end.
struct Endless {
    piece: Option<Bytes>,
    _held: Held,
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Poll::Pending,
        }
    }
}

impl Slow {
    /// Over HTTP/1.1; with `tls` over what both sides speak.
    pub async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (begun, left) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let shared = (begun.clone(), left.clone());
        let mut served = JoinSet::new();
        served.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, shared) = (tls.clone(), shared.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, shared.clone()));
                    // How it ends is the caller's business.
                    let _ = match tls {
                        None => {
                            let http = http1::Builder::new();
                            http.serve_connection(TokioIo::new(stream), service).await
                        }
                        Some(tls) => {
                            let stream = tls.accept(stream).await.expect("a handshake");
                            let http = http2::Builder::new(TokioExecutor::new());
                            http.serve_connection(TokioIo::new(stream), service).await
                        }
                    };
                });
            }
        });
        Self {
            url: format!("{scheme}://{address}"),
            begun,
            left,
            _served: served,
        }
    }

    /// Waits until it was asked something once more.
    pub async fn begun(&self) {
        wait(&self.begun, "nobody asks").await;
    }

    /// Waits until one more of its answers is given up.
    pub async fn left(&self) {
        wait(&self.left, "nobody gives up").await;
    }
}

async fn wait(semaphore: &Semaphore, otherwise: &str) {
    let permit = tokio::time::timeout(SOON, semaphore.acquire()).await;
    permit.expect(otherwise).expect("it is open").forget();
}

async fn answer(
    request: Request<Incoming>,
    (begun, left): (Arc<Semaphore>, Arc<Semaphore>),
) -> Result<Response<Endless>, Infallible> {
    let held = Held(left);
    begun.add_permits(1);
    if request.uri().path() != "/body" {
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Endless {
        piece: Some(Bytes::from_static(b"a piece")),
        _held: held,
    }))
}
