//! An origin to call: answers by a function and remembers what it was asked, over which connection.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::HandshakeKind;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// One request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The version of HTTP.
    pub version: Version,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Which connection it came over, counted from 0.
    pub connection: usize,
    /// Of a TLS connection, whether it had a handshake of its own.
    pub handshake: Option<HandshakeKind>,
}

/// A running origin, stopped with all its connections when dropped.
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    served: JoinHandle<()>,
}

type Answers = Arc<dyn Fn(&Seen) -> Response<Bytes> + Send + Sync>;

/// What the connections of an origin share.
#[derive(Clone)]
struct Shared {
    answer: Answers,
    seen: Arc<Mutex<Vec<Seen>>>,
    tls: Option<TlsAcceptor>,
}

impl Origin {
    /// An origin on loopback that answers with what `answer` returns.
    pub async fn start(answer: impl Fn(&Seen) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self::run(Arc::new(answer), None).await
    }

    /// The same over TLS, with HTTP/2 if both sides want it.
    pub async fn tls(
        tls: TlsAcceptor,
        answer: impl Fn(&Seen) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self::run(Arc::new(answer), Some(tls)).await
    }

    async fn run(answer: Answers, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Shared {
            answer,
            seen: seen.clone(),
            tls,
        };
        let served = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                connections.spawn(shared.clone().connection(stream, number));
            }
        });
        Self {
            address,
            scheme,
            seen,
            served,
        }
    }

    /// What it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The connections over which it was asked something, one entry for each request.
    pub fn connections(&self) -> Vec<usize> {
        self.seen().iter().map(|seen| seen.connection).collect()
    }

    /// `http://127.0.0.1:port` and `path`; `https` of one with TLS.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }
}

impl Shared {
    async fn connection(self, stream: TcpStream, number: usize) {
        let Some(tls) = &self.tls else {
            return self.serve(stream, Version::HTTP_11, number, None).await;
        };
        // A client that does not trust the certificate leaves here.
        let Ok(stream) = tls.accept(stream).await else {
            return;
        };
        let (_, session) = stream.get_ref();
        let handshake = session.handshake_kind();
        let version = match session.alpn_protocol() {
            Some(b"h2") => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        self.serve(stream, version, number, handshake).await;
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        version: Version,
        connection: usize,
        handshake: Option<HandshakeKind>,
    ) {
        let service = service_fn(move |request: Request<Incoming>| {
            let shared = self.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await;
                let request = Seen {
                    method: parts.method,
                    path: parts
                        .uri
                        .path_and_query()
                        .map(ToString::to_string)
                        .unwrap_or_default(),
                    version: parts.version,
                    headers: parts.headers,
                    body: body.map(|body| body.to_bytes()).unwrap_or_default(),
                    connection,
                    handshake,
                };
                let response = (shared.answer)(&request).map(Full::new);
                let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(request);
                Ok::<_, Infallible>(response)
            }
        });
        let stream = TokioIo::new(stream);
        // How a connection ends is the client's business.
        let _ = match version {
            Version::HTTP_2 => {
                let server = http2::Builder::new(TokioExecutor::new());
                server.serve_connection(stream, service).await
            }
            _ => {
                http1::Builder::new()
                    .serve_connection(stream, service)
                    .await
            }
        };
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.served.abort();
    }
}
