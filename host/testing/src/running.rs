use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle};
use webtask_host::{CodePrefix, Config, Host, Limits, ListenAddress, Listener, Server};
use webtask_token::{Claims, Keyring};

use crate::{Error, Line, log};

/// Invocations at the same time, unless the test wants more: each takes address space in this process.
const INVOCATIONS: u32 = 32;

/// A webtask that can be called. It ends when this is dropped.
pub struct Running {
    authority: String,
    token: String,
    served: JoinHandle<()>,
    _stop: oneshot::Sender<()>,
}

impl Running {
    pub(crate) async fn start(
        claims: &Claims,
        code: CodePrefix,
        mut limits: Limits,
    ) -> Result<Self, Error> {
        let keyring = Keyring::generate(None);
        let token = keyring.seal(claims)?;
        limits.invocations = limits.invocations.min(INVOCATIONS);
        let private = ["127.0.0.0/8"].iter().flat_map(|range| range.parse());
        let host = Host::new(Config {
            limits,
            private: private.collect(),
            // Compiled in this process: what a test runs it trusts, and then it needs no program that compiles.
            ..Config::new(keyring, vec![code])
        })?;
        let listener = Listener::bind("127.0.0.1:0")
            .await
            .map_err(std::io::Error::other)?;
        let authority = match listener.address() {
            ListenAddress::Tcp(address) => address.to_string(),
            other => other.to_string(),
        };
        let (_stop, stopped) = oneshot::channel();
        let server = Server::new(Arc::new(host)).listen(listener);
        let served = tokio::spawn(server.serve(async { drop(stopped.await) }));
        Ok(Self {
            authority,
            token,
            served,
            _stop,
        })
    }

    /// Where it is called, for any client: `http://127.0.0.1:40123/run`, with the token.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/run", self.authority)
    }

    /// Its token, for `authorization: Bearer`.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `GET` of `path`, which begins with `/` or is empty, and may have a query.
    ///
    /// # Errors
    /// No whole answer. An answer of the runtime itself, such as for a webtask that failed, is an answer.
    pub async fn get(&self, path: &str) -> Result<Response<Bytes>, Error> {
        let request = Request::get(format!("/run{path}"));
        self.exchange(request.body(Bytes::new())?).await
    }

    /// Sends `request`, whose URI is a path and a query as the webtask is to see them.
    ///
    /// # Errors
    /// As of [`get`](Self::get).
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        head.uri = format!("/run{path}").parse().map_err(http::Error::from)?;
        self.exchange(Request::from_parts(head, body)).await
    }

    /// What the webtask wrote so far, and what the runtime says to its author: why it failed, and what would allow
    /// what was denied.
    ///
    /// # Errors
    /// As of [`get`](Self::get).
    pub async fn log(&self) -> Result<Vec<Line>, Error> {
        let request = Request::get("/v1/logs?follow=false").body(Bytes::new())?;
        let answer = self.exchange(request).await?;
        match answer.status().is_success() {
            true => Ok(log::lines(answer.body())),
            false => Err(Error::Log(answer.status())),
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let mut request = request.map(Full::new);
        let value = |text: &str| HeaderValue::from_str(text).map_err(http::Error::from);
        let headers = request.headers_mut();
        let host = value(&self.authority)?;
        headers.entry(header::HOST).or_insert(host);
        headers.insert("webtask-token", value(&self.token)?);
        let stream = TcpStream::connect(&self.authority).await?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(Error::Answer)?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(Error::Answer)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(Error::Answer)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.served.abort();
    }
}
