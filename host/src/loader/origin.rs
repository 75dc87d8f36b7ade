//! Code over HTTP: requests through egress, redirects, and bodies that are bounded in size and time.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Empty};
use tokio::time::Instant;
use url::Url;

use super::{
    LoadError, Worker,
    fetch::{Failure, Found, failed},
    freshness::{self, Freshness, Times},
    known::{Basis, Head, Known},
    source::{From, Source},
};
use crate::{
    deadline,
    egress::{Answer, ConnectError, Ranges, RequestBody, SendError},
    text::chain,
};

/// Redirects that are followed, each checked like the first URL.
pub(super) const REDIRECTS: usize = 3;

/// One request for code, or on the way to it.
pub(super) struct Ask<'a> {
    pub(super) url: &'a Url,
    pub(super) ranges: Ranges,
    pub(super) accept: &'static str,
    /// `authorization`, `if-none-match` and the like.
    pub(super) headers: HeaderMap,
}

/// What redirects on the way allow the answer to be kept for.
struct Way(Option<Freshness>, bool);

impl Worker {
    /// What is at `source`. `known` is what it served before.
    pub(super) async fn get(
        &self,
        source: &Source,
        mut ranges: Ranges,
        known: Option<&Known>,
    ) -> Result<Found, Failure> {
        let mut url = source.url.clone();
        let mut way = Way(None, true);
        for _ in 0..=REDIRECTS {
            let stored = known.and_then(|known| known.head_of(&url));
            let ask = Ask {
                url: &url,
                ranges,
                accept: "application/wasm",
                headers: stored
                    .map(|head| freshness::conditions(&head.headers))
                    .unwrap_or_default(),
            };
            let (response, times) = self.ask(source, ask).await?;
            if let Some(next) = next(source, &url, &response)? {
                way.over(response.headers(), times);
                let From::Http(reach) = self.hop(source, &next)? else {
                    return Err(failed(source, "a redirect away from HTTP"));
                };
                (url, ranges) = (next, reach);
                continue;
            }
            if response.status().as_u16() != 304 {
                let basis = way.basis(url, response.headers().clone(), times);
                let limit = self.limits.component_bytes;
                return Ok(Found::Code(
                    self.body(source, response, limit).await?,
                    basis,
                ));
            }
            let Some(head) =
                stored.filter(|head| freshness::speaks_of(response.headers(), &head.headers))
            else {
                let reason = "the origin answered 304 to what it was not asked";
                return Err(failed(source, reason).passing());
            };
            let headers = freshness::confirmed(&head.headers, response.headers());
            return Ok(Found::Same(way.basis(url, headers, times)));
        }
        Err(failed(source, format!("more than {REDIRECTS} redirects")))
    }

    /// Where a redirect leads: only where platform and tenant allow code anyway, or below the mirror that answered.
    fn hop(&self, source: &Source, next: &Url) -> Result<From, Failure> {
        if let Some(from) = source.also(next) {
            return Ok(from);
        }
        match self.permit(next.as_str(), &source.by) {
            Ok(permitted) => Ok(permitted.from),
            Err(error) => Err(failed(source, format!("a redirect: {error}"))),
        }
    }

    /// Sends one request and waits for the head of its answer.
    pub(super) async fn ask(
        &self,
        source: &Source,
        ask: Ask<'_>,
    ) -> Result<(Response<Answer>, Times), Failure> {
        let body = RequestBody::new(Empty::new().map_err(|never| match never {}));
        let mut request = Request::get(ask.url.as_str())
            .header(header::ACCEPT, ask.accept)
            // What is hashed is what is sent.
            .header(header::ACCEPT_ENCODING, "identity")
            .header(
                header::USER_AGENT,
                concat!("webtask/", env!("CARGO_PKG_VERSION")),
            )
            .body(body)
            .map_err(|error| failed(source, error))?;
        request.headers_mut().extend(ask.headers);
        let (asked, limit) = (Instant::now(), self.limits.fetch);
        let answered = self.egress.fetch(request, ask.ranges, limit, limit).await;
        let response = answered.map_err(|error| {
            let failure = failed(source, chain(&error));
            match error {
                SendError::Timeout { .. } | SendError::Connect(ConnectError::Timeout { .. }) => {
                    self.slow(source)
                }
                // Nothing is down: the platform does not go there.
                SendError::Connect(ConnectError::Address { .. } | ConnectError::Uri) => failure,
                _ => failure.passing(),
            }
        })?;
        let times = Times {
            asked,
            received: Instant::now(),
            wall: SystemTime::now(),
        };
        Ok((response, times))
    }

    /// The body of an answer of status 200, of at most `limit` bytes.
    pub(super) async fn body(
        &self,
        source: &Source,
        response: Response<Answer>,
        limit: u64,
    ) -> Result<Bytes, Failure> {
        whole(source, &response)?;
        let too_large = || LoadError::TooLarge {
            url: source.shown(),
            limit,
        };
        let mut body = response.into_body();
        if body.size_hint().lower() > limit {
            return Err(too_large().into());
        }
        // One that sends a byte now and then is not worth all of the time.
        let pause = deadline::share(self.limits.fetch, 2);
        let started = Instant::now();
        let mut shown = Duration::from_secs(1);
        let mut bytes = BytesMut::new();
        loop {
            let frame = tokio::time::timeout(pause, body.frame()).await;
            let frame = frame.map_err(|_| {
                let reason =
                    format!("the origin sent nothing for {pause:?}, half of the limit fetch");
                failed(source, reason).passing()
            })?;
            let Some(frame) = frame else {
                return Ok(bytes.freeze());
            };
            let frame = frame.map_err(|error| failed(source, chain(&error)).passing())?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if bytes.len().saturating_add(data.len()) as u64 > limit {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(data);
            if started.elapsed() > shown {
                tracing::info!(url = source.shown(), bytes = bytes.len(), "fetching");
                shown = shown.saturating_mul(2);
            }
        }
    }
}

impl Way {
    fn over(&mut self, headers: &HeaderMap, times: Times) {
        match (Freshness::of(headers, times), self.0) {
            (None, _) => self.1 = false,
            (Some(now), Some(before)) => self.0 = Some(now.behind(before)),
            (now, None) => self.0 = now,
        }
    }

    fn basis(self, at: Url, headers: HeaderMap, times: Times) -> Option<Basis> {
        let freshness = Freshness::of(&headers, times).filter(|_| self.1)?;
        let head = Head {
            at,
            headers: freshness::kept(&headers)?,
            freshness: self.0.map_or(freshness, |way| freshness.behind(way)),
        };
        Some(Basis::Head(Box::new(head)))
    }
}

/// What a manifest of a registry can be known by.
pub(super) fn basis_of(at: Url, pinned: bool, headers: HeaderMap, times: Times) -> Option<Basis> {
    if !pinned {
        return Way(None, true).basis(at, headers, times);
    }
    let head = Head {
        at,
        headers: HeaderMap::new(),
        freshness: Freshness::of_pinned(times),
    };
    Some(Basis::Head(Box::new(head)))
}

/// The URL that a redirect leads to; `None` if the answer is no redirect.
pub(super) fn next(
    source: &Source,
    url: &Url,
    response: &Response<Answer>,
) -> Result<Option<Url>, Failure> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let next = response
        .headers()
        .get(header::LOCATION)
        .and_then(|to| to.to_str().ok())
        .and_then(|to| url.join(to).ok());
    let mut next = next.ok_or_else(|| failed(source, "a redirect without a usable location"))?;
    next.set_fragment(None);
    Ok(Some(next))
}

/// Refuses what is not the whole of what was asked for, as it is.
fn whole(source: &Source, response: &Response<Answer>) -> Result<(), Failure> {
    let status = response.status().as_u16();
    if status != 200 {
        return Err(of_status(source, response));
    }
    let coding = response.headers().get(header::CONTENT_ENCODING);
    match coding.map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(()),
        Some(coding) => Err(failed(
            source,
            format!(
                "the origin answered in the coding {:?}, which was not asked for",
                String::from_utf8_lossy(coding)
            ),
        )),
    }
}

/// An answer that is a failure. What the origin says of itself passes; what it says of the code counts.
pub(super) fn of_status(source: &Source, response: &Response<Answer>) -> Failure {
    let status = response.status();
    let failure = failed(source, format!("the origin answered {status}"));
    if !(status.is_server_error() || matches!(status.as_u16(), 408 | 429)) {
        return failure;
    }
    Failure {
        keep: freshness::retry_after(response.headers(), SystemTime::now()),
        ..failure.passing()
    }
}
