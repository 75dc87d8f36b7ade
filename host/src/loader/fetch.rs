//! Fetching: bytes from a file below a granted directory, or over HTTP through egress.

use std::{io::Read as _, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::{
    LoadError, Worker,
    source::{From, Source},
};
use crate::{
    egress::{ConnectError, Ranges, SendError},
    text::chain,
};

/// Redirects that are followed, each checked like the first URL.
const REDIRECTS: usize = 3;

impl Worker {
    /// The bytes at `source`, within the limits of size and time.
    pub(super) async fn fetch(&self, source: &Source) -> Result<Bytes, LoadError> {
        let limit = self.limits.fetch;
        // Without a place, code that is compiled already still runs.
        let _place = self.fetching.try_acquire().map_err(|_| LoadError::Busy)?;
        let work = async {
            match &source.from {
                From::File { .. } => self.read(source).await,
                From::Http(ranges) => self.get(source, *ranges).await,
            }
        };
        tokio::time::timeout(limit, work)
            .await
            .map_err(|_| self.slow(source))?
    }

    fn slow(&self, source: &Source) -> LoadError {
        LoadError::Timeout {
            what: "fetching",
            url: source.shown(),
            limit: self.limits.fetch,
        }
    }

    async fn read(&self, source: &Source) -> Result<Bytes, LoadError> {
        let From::File { dir, path } = &source.from else {
            return Err(failed(source, "not a file"));
        };
        let (dir, path) = (dir.clone(), path.clone());
        let limit = self.limits.component_bytes;
        let read = tokio::task::spawn_blocking(move || {
            // Opening a pipe or device would wait for its other end.
            if !dir.metadata(&path)?.is_file() {
                return Err(std::io::Error::other("not a regular file"));
            }
            let mut bytes = Vec::new();
            dir.open(&path)?
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        let bytes = read
            .await
            .map_err(|error| failed(source, error))?
            .map_err(|error| failed(source, error))?;
        if bytes.len() as u64 > limit {
            return Err(LoadError::TooLarge {
                url: source.shown(),
                limit,
            });
        }
        Ok(bytes.into())
    }

    async fn get(&self, source: &Source, mut ranges: Ranges) -> Result<Bytes, LoadError> {
        let mut url = source.url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.request(source, &url, ranges).await?;
            if !response.status().is_redirection() {
                return self.body(source, response).await;
            }
            let next = response
                .headers()
                .get(header::LOCATION)
                .and_then(|to| to.to_str().ok())
                .and_then(|to| url.join(to).ok());
            let next =
                next.ok_or_else(|| failed(source, "a redirect without a usable location"))?;
            // A redirect leads only where the platform allows code anyway.
            let permitted = self
                .permit(next.as_str())
                .map_err(|error| failed(source, format!("a redirect: {error}")))?;
            let From::Http(next_ranges) = permitted.from else {
                return Err(failed(source, "a redirect to a file"));
            };
            (url, ranges) = (permitted.url, next_ranges);
        }
        Err(failed(source, format!("more than {REDIRECTS} redirects")))
    }

    async fn request(
        &self,
        source: &Source,
        url: &url::Url,
        ranges: Ranges,
    ) -> Result<Response<Incoming>, LoadError> {
        let request = Request::get(url.as_str())
            .header(header::ACCEPT, "application/wasm")
            .header(
                header::USER_AGENT,
                concat!("webtask/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(source, error))?;
        let answered = self.egress.send(request, ranges, self.limits.fetch).await;
        answered.map_err(|error| match error {
            SendError::Timeout { .. } | SendError::Connect(ConnectError::Timeout { .. }) => {
                self.slow(source)
            }
            error => failed(source, chain(&error)),
        })
    }

    async fn body(
        &self,
        source: &Source,
        response: Response<Incoming>,
    ) -> Result<Bytes, LoadError> {
        if response.status().as_u16() != 200 {
            return Err(failed(
                source,
                format!("the origin answered {}", response.status()),
            ));
        }
        let limit = self.limits.component_bytes;
        let started = Instant::now();
        let mut shown = Duration::from_secs(1);
        let mut body = response.into_body();
        let mut bytes = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(source, error))?;
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if (bytes.len() + data.len()) as u64 > limit {
                return Err(LoadError::TooLarge {
                    url: source.shown(),
                    limit,
                });
            }
            bytes.extend_from_slice(data);
            if started.elapsed() > shown {
                tracing::info!(url = source.shown(), bytes = bytes.len(), "fetching");
                shown *= 2;
            }
        }
        Ok(bytes.freeze())
    }
}

fn failed(source: &Source, reason: impl std::fmt::Display) -> LoadError {
    LoadError::Fetch {
        url: source.shown(),
        reason: reason.to_string(),
    }
}
