//! A person's own request, with the times of its parts: for the command line alone.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{
    ConnectError, Egress, Ranges, SendError, Stream, Target, dial,
    tls::{Offer, Protocol},
};
use crate::deadline;

/// When each part of an exchange was over, from its beginning on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Timing {
    /// The name was resolved.
    pub resolved: Duration,
    /// The connection was open.
    pub connected: Duration,
    /// The TLS handshake was over; none without TLS.
    pub shaken: Option<Duration>,
    /// The head of the answer was there.
    pub answered: Duration,
}

/// Sends a person's own request, as [`send`](super::send) does, and measures.
///
/// # Errors
/// If no answer began, as for [`send`](super::send).
pub async fn send_timed(
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<(Response<Incoming>, Timing), SendError> {
    let egress = Egress::unfiltered()?;
    let target = Target::of(request.uri())?;
    let started = Instant::now();
    let until = deadline::after(started, limit);
    let opened = tokio::time::timeout_at(until, egress.open_timed(&target, started, until));
    let (stream, timing) = opened.await.map_err(|_| ConnectError::Timeout {
        name: target.authority(),
        limit,
    })??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself: when the sender and the body are gone, or with the error that they report.
    tokio::spawn(connection);
    let mut request = request;
    target.address(&mut request, Protocol::Http1)?;
    let answer = tokio::time::timeout(limit, sender.send_request(request)).await;
    let response = answer.map_err(|_| SendError::Timeout { limit })??;
    let answered = started.elapsed();
    Ok((response, Timing { answered, ..timing }))
}

impl Egress {
    async fn open_timed(
        &self,
        target: &Target,
        started: Instant,
        until: Instant,
    ) -> Result<(Stream, Timing), ConnectError> {
        let addresses = self.resolve(target, Ranges::Public).await?;
        let resolved = started.elapsed();
        let stream = dial(target, &addresses, until).await?;
        let mut timing = Timing {
            resolved,
            connected: started.elapsed(),
            shaken: None,
            answered: Duration::ZERO,
        };
        if target.scheme == "http" {
            return Ok((Box::new(stream), timing));
        }
        let shaken = self.tls.connect(&target.host, stream, Offer::Http1).await;
        let (stream, _) = shaken.map_err(|source| ConnectError::Tls {
            name: target.host(),
            source,
        })?;
        timing.shaken = Some(started.elapsed());
        Ok((Box::new(stream), timing))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use webtask_tests::{Authority, Origin};

    use super::*;
    use crate::{Limits, egress::Reach};

    #[tokio::test]
    async fn each_part_of_the_way_has_its_time() {
        let authority = Authority::new();
        let acceptor = authority.acceptor("127.0.0.1", &["http/1.1"]);
        let secure = Origin::tls(acceptor, |_| http::Response::default()).await;
        let plain = Origin::start(|_| http::Response::default()).await;
        let mut egress =
            Egress::new(Vec::new(), &[], &[authority.file()], &Limits::default()).unwrap();
        egress.reach = Reach::Anywhere;
        for (url, over_tls) in [(secure.url("/"), true), (plain.url("/"), false)] {
            let target = Target::of(&url.parse().unwrap()).unwrap();
            let started = Instant::now();
            let until = started + Duration::from_secs(30);
            let (_, timing) = egress.open_timed(&target, started, until).await.unwrap();
            assert!(timing.resolved <= timing.connected, "{timing:?}");
            assert_eq!(timing.shaken.is_some(), over_tls, "{timing:?}");
            assert!(
                timing.shaken.is_none_or(|shaken| shaken > timing.connected),
                "{timing:?}"
            );
        }
    }
}
