//! Requests over connections: kept ones for guests, one of its own for code and the command line.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use webtask_token::LinkId;

use super::{
    ConnectError, Egress, EgressError, Key, Ranges, Target,
    connection::{RequestBody, Upload},
    pool::{Answer, Lease},
    tls::{Offer, Protocol},
};
use crate::deadline;

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
    /// 101 would make a tunnel of the connection; other informational responses are not passed on.
    #[error("the origin answered with status {0}, which is no answer")]
    Informational(u16),
    /// The machine cannot make connections.
    #[error("no outbound connections")]
    Start(#[from] EgressError),
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
    Egress::unfiltered()?
        .send(request, Ranges::Public, limit)
        .await
}

/// What became of an attempt to send.
enum Attempt {
    Answered(Response<Answer>),
    /// Nothing of it was sent, and it may go another way.
    Unsent(Request<Upload>, hyper::Error),
}

impl Egress {
    /// Sends `request`, whose URI is absolute, over a connection of `key`: a kept one, or a new one. A
    /// kept one that turns out to be closed before any of the request was sent is replaced once.
    ///
    /// `connect` bounds the way to a connection, `answer` the wait for the answer's head. Dropping the
    /// future, or the answer before its end, ends the exchange.
    ///
    /// # Errors
    /// If no answer began. One with an error status is an answer.
    pub async fn exchange(
        &self,
        key: &Key,
        request: Request<RequestBody>,
        connect: Duration,
        answer: Duration,
    ) -> Result<Response<Answer>, SendError> {
        let sent = Arc::default();
        let mut request = request.map(|inner| Upload {
            inner,
            over: Arc::clone(&sent),
        });
        let until = deadline::after(Instant::now(), connect);
        if let Some(mut lease) = self.kept(key, until).await {
            lease.sent = sent.clone();
            match attempt(lease, &key.target, request, answer).await? {
                Attempt::Answered(response) => return Ok(response),
                Attempt::Unsent(back, _) => request = back,
            }
        }
        sent.store(false, Ordering::Relaxed);
        let left = until.saturating_duration_since(Instant::now());
        let (stream, protocol) = self
            .connect(&key.target, key.ranges, Offer::Any, left)
            .await?;
        let mut lease = self.pool.open(key, stream, protocol).await?;
        lease.sent = sent;
        match attempt(lease, &key.target, request, answer).await? {
            Attempt::Answered(response) => Ok(response),
            Attempt::Unsent(_, error) => Err(error.into()),
        }
    }

    /// A kept connection that can take a request, unless it takes too long to find one. Those in its way
    /// that are closed, or do not get ready, are dropped.
    async fn kept(&self, key: &Key, until: Instant) -> Option<Lease> {
        while let Some(mut lease) = self.pool.take(key) {
            let sender = lease.sender.as_mut()?;
            let ready = tokio::time::timeout_at(until, sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) {
                return Some(lease);
            }
        }
        None
    }

    /// Sends `request`, whose URI is absolute, over a connection that is closed after it: for code, which no
    /// token owns. HTTP/2 where the origin wants it. The bounds are those of [`Egress::exchange`].
    pub(crate) async fn fetch(
        &self,
        request: Request<RequestBody>,
        ranges: Ranges,
        connect: Duration,
        answer: Duration,
    ) -> Result<Response<Answer>, SendError> {
        let key = Key {
            owner: LinkId::from([0; 16]),
            target: Target::of(request.uri())?,
            ranges,
        };
        let (stream, protocol) = self
            .connect(&key.target, ranges, Offer::Any, connect)
            .await?;
        let mut lease = self.single.open(&key, stream, protocol).await?;
        let sent = Arc::default();
        lease.sent = Arc::clone(&sent);
        let request = request.map(|inner| Upload { inner, over: sent });
        match attempt(lease, &key.target, request, answer).await? {
            Attempt::Answered(response) => Ok(response),
            Attempt::Unsent(_, error) => Err(error.into()),
        }
    }

    /// Sends a person's or an operator's request, whose URI is absolute, over a connection of its own.
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
        let (stream, _) = self.connect(&target, ranges, Offer::Http1, limit).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself: when the sender and the body are gone, or with the error that they report.
        tokio::spawn(connection);
        target.address(&mut request, Protocol::Http1)?;
        let answer = tokio::time::timeout(limit, sender.send_request(request)).await;
        Ok(answer.map_err(|_| SendError::Timeout { limit })??)
    }
}

async fn attempt(
    mut lease: Lease,
    target: &Target,
    mut request: Request<Upload>,
    limit: Duration,
) -> Result<Attempt, SendError> {
    let sender = lease
        .sender
        .as_mut()
        .expect("a lease has its sender until it is dropped");
    target.address(&mut request, sender.protocol())?;
    let sent = tokio::time::timeout(limit, sender.send(request)).await;
    match sent.map_err(|_| SendError::Timeout { limit })? {
        // The lease is dropped with the connection closed.
        Ok(response) if response.status().is_informational() => {
            Err(SendError::Informational(response.status().as_u16()))
        }
        Ok(response) => {
            let answer = response.map(|inner| Answer::new(inner, lease));
            Ok(Attempt::Answered(answer))
        }
        Err(mut error) => match error.take_message() {
            Some(request) => Ok(Attempt::Unsent(request, error.into_error())),
            None => Err(error.into_error().into()),
        },
    }
}
