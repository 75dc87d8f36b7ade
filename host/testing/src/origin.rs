use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

use crate::Error;

/// Connections at the same time; more of them wait.
const CONNECTIONS: usize = 64;

type Answer = dyn Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync;
type Seen = Mutex<Vec<Request<Bytes>>>;

/// A server that a webtask calls: HTTP/1.1 on a port of its own of loopback, until it is dropped.
pub struct Origin {
    url: String,
    seen: Arc<Seen>,
    served: JoinHandle<()>,
}

impl Origin {
    /// One that answers as `answer` says.
    ///
    /// # Errors
    /// Loopback has no port.
    pub async fn start(
        answer: impl Fn(&Request<Bytes>) -> Response<Bytes> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (answer, seen): (Arc<Answer>, _) = (Arc::new(answer), Arc::<Seen>::default());
        let all = seen.clone();
        let served = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                if connections.len() >= CONNECTIONS {
                    connections.join_next().await;
                }
                connections.spawn(connection(stream, answer.clone(), all.clone()));
            }
        });
        Ok(Self { url, seen, served })
    }

    /// Its URL, without a path: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it was asked, in this order.
    #[must_use]
    pub fn seen(&self) -> Vec<Request<Bytes>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl std::fmt::Debug for Origin {
    /// Without what it was asked, in which secrets are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = &self.url;
        f.debug_struct("Origin")
            .field("url", url)
            .finish_non_exhaustive()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn connection(stream: TcpStream, answer: Arc<Answer>, seen: Arc<Seen>) {
    let service = service_fn(|request: Request<Incoming>| {
        let (answer, seen) = (&answer, &seen);
        async move {
            let (head, body) = request.into_parts();
            // A caller that leaves in the middle gets no answer anyway.
            let body = body.collect().await.map(|body| body.to_bytes());
            let request = Request::from_parts(head, body.unwrap_or_default());
            let response = answer(&request).map(Full::new);
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(request);
            Ok::<_, Infallible>(response)
        }
    });
    // That of the webtask's runtime fails as well then, and says so.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
