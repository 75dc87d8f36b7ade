//! One HTTP/1.1 request over one connection: what fetching code and the command line need.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::{ConnectError, Egress, Ranges, Target};

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No connection could be opened.
    #[error("no connection")]
    Connect(#[from] ConnectError),
    /// The exchange failed after the connection was open.
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    /// The answer did not begin in time.
    #[error("no answer within {limit:?}")]
    Timeout {
        /// The time that was allowed.
        limit: Duration,
    },
}

/// Sends a person's own request, to wherever it says: nothing is filtered and nothing is followed.
/// `limit` bounds the connection and, again, the wait for the answer's head.
pub async fn send(
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<Response<Incoming>, SendError> {
    Egress::unfiltered()
        .send(request, Ranges::Public, limit)
        .await
}

impl Egress {
    /// Sends `request`, whose URI is absolute, over a connection of its own.
    pub(crate) async fn send<B>(
        &self,
        mut request: Request<B>,
        ranges: Ranges,
        limit: Duration,
    ) -> Result<Response<Incoming>, SendError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let target = Target::of(request.uri())?;
        let stream = self.connect(&target, ranges, limit).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself: when the sender and the body are gone, or with the error that they report.
        tokio::spawn(connection);
        target.address(&mut request)?;
        let answer = tokio::time::timeout(limit, sender.send_request(request)).await;
        Ok(answer.map_err(|_| SendError::Timeout { limit })??)
    }
}
