//! A caller: one HTTP/1.1 request over one connection, or many HTTP/2 ones, and their whole answers.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};

use crate::SOON;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body, as far as it came.
    pub body: Bytes,
    /// Whether the body ended as HTTP says it must; `false` if the connection broke.
    pub whole: bool,
    /// From the request's first byte to the answer's last.
    pub took: Duration,
}

impl Reply {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The `code` of the host's own answer; panics if a guest answered.
    pub fn code(&self) -> String {
        assert_eq!(self.headers["webtask-source"], "host", "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["code"]
            .as_str()
            .expect("a problem has a code")
            .to_owned()
    }

    /// The id of the request.
    pub fn request_id(&self) -> &str {
        self.headers["webtask-request-id"]
            .to_str()
            .expect("an id is text")
    }
}

/// Sends `request` to `address` and leaves the body to the caller.
pub async fn exchange<B>(address: SocketAddr, request: Request<B>) -> http::Response<Incoming>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let stream = TcpStream::connect(address).await.expect("the host listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("a connection");
    tokio::spawn(connection);
    sender
        .send_request(request)
        .await
        .expect("an answer begins")
}

/// Sends `request` to `address` and reads the whole answer.
pub async fn send<B>(address: SocketAddr, request: Request<B>) -> Reply
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let started = Instant::now();
    read(exchange(address, request).await, started).await
}

async fn read(response: http::Response<Incoming>, started: Instant) -> Reply {
    let (parts, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    let mut whole = true;
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.into(),
        whole,
        took: started.elapsed(),
    }
}

/// `GET path` with `token` in `webtask-token`.
pub async fn get(address: SocketAddr, token: &str, path: &str) -> Reply {
    let request = Request::get(path)
        .header("host", address.to_string())
        .header("webtask-token", token);
    send(
        address,
        request
            .body(Empty::<Bytes>::new())
            .expect("a valid request"),
    )
    .await
}

/// `GET path` without a token in a header.
pub async fn get_path(address: SocketAddr, path: &str) -> Reply {
    let request = Request::get(path).header("host", address.to_string());
    send(
        address,
        request
            .body(Empty::<Bytes>::new())
            .expect("a valid request"),
    )
    .await
}

/// `GET path` with `token` over any stream, HTTP/1.1.
pub async fn get_through(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    token: &str,
    path: &str,
) -> Reply {
    let started = Instant::now();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("a connection");
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "x")
        .header("webtask-token", token)
        .body(Empty::<Bytes>::new());
    let response = sender.send_request(request.expect("a valid request"));
    read(response.await.expect("an answer begins"), started).await
}

/// A connection of HTTP/2, with prior knowledge.
#[derive(Clone)]
pub struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    /// Closed with the connection.
    open: watch::Receiver<()>,
}

impl Http2 {
    /// Connects to `address`.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the host listens")).await
    }

    /// Begins over any stream.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a connection");
        let (until, open) = watch::channel(());
        tokio::spawn(async move {
            // How it ends is for the test to see.
            let _ = connection.await;
            drop(until);
        });
        Self { sender, open }
    }

    /// Sends a request, and reads the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let started = Instant::now();
        let response = self.begin(request).await.expect("an answer begins");
        read(response, started).await
    }

    /// Sends a request, and leaves the body to the caller.
    pub async fn begin(
        &self,
        request: Request<Full<Bytes>>,
    ) -> hyper::Result<http::Response<Incoming>> {
        self.sender.clone().send_request(request).await
    }

    /// `path` with `token` and a body.
    pub async fn post(&self, token: &str, path: &str, body: impl Into<Bytes>) -> Reply {
        let request = Request::post(format!("http://host.example{path}"));
        let request = request.header("webtask-token", token);
        let request = request.body(Full::new(body.into()));
        self.send(request.expect("a valid request")).await
    }

    /// Waits until the connection has ended.
    pub async fn closed(mut self) {
        let closed = tokio::time::timeout(SOON * 2, self.open.changed()).await;
        assert!(closed.expect("it ends").is_err(), "nothing is ever sent");
    }
}
