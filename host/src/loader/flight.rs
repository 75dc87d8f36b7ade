//! One flight for each URL and digest: who joins it, what it leaves behind, and what a failure means for the
//! next who asks.

use std::{sync::Arc, time::Duration};

use moka::Expiry;
use tokio::time::Instant;

use super::{
    LoadError, Loader,
    fetch::{Failure, Fetched},
    file::FileId,
    known::{Basis, Known, Use},
    source::Source,
};
use crate::{deadline, runtime::Webtask};

/// What a flight is for. Whoever names another's digest with a URL of his own, or another's URL with a digest
/// of his own, fails alone; and no tenant waits for the place of another, or is told what that one may not.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    tenant: Arc<str>,
    /// With its query.
    url: String,
    sha256: Option<[u8; 32]>,
    /// A file that changed is another: a failure with the old one says nothing.
    file: Option<FileId>,
}

impl Key {
    /// Of what is remembered what it served.
    fn place(&self) -> (Arc<str>, String) {
        (self.tenant.clone(), self.url.clone())
    }
}

/// What a flight brought. A failure goes to all who ask within its time.
pub(super) type Outcome = Result<Arc<Webtask>, Failed>;

#[derive(Clone)]
pub(super) struct Failed {
    error: Arc<LoadError>,
    keep: Duration,
}

impl std::convert::From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            error: Arc::new(failure.error),
            keep: failure.keep,
        }
    }
}

/// Keeps failures for their time, and success for none: what is compiled has a cache of its own.
pub(super) struct Remember;

impl Expiry<Key, Outcome> for Remember {
    fn expire_after_create(
        &self,
        _: &Key,
        outcome: &Outcome,
        _: std::time::Instant,
    ) -> Option<Duration> {
        let failed = outcome.as_ref().err();
        Some(failed.map_or(Duration::ZERO, |failed| failed.keep))
    }

    /// What is over may still be there when the next outcome comes.
    fn expire_after_update(
        &self,
        key: &Key,
        outcome: &Outcome,
        at: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, outcome, at)
    }
}

impl Loader {
    /// The webtask at `source`, which is not compiled under the digest `sha256` yet, or has none.
    pub(super) async fn find(
        &self,
        source: Source,
        sha256: Option<[u8; 32]>,
    ) -> Result<Arc<Webtask>, Arc<LoadError>> {
        let key = Key {
            tenant: source.by.tenant.clone(),
            url: source.url.as_str().to_owned(),
            sha256,
            file: self.worker.look(&source).await?,
        };
        let metrics = &self.observed.metrics;
        if let Some((known, webtask)) = self.known_of(&key).await {
            let usable = known.usable(Instant::now(), key.file);
            if usable != Use::Ask {
                metrics.looked_up(true);
                if usable == Use::ServeAndAsk && known.begin_asking() {
                    let loader = self.clone();
                    tokio::spawn(async move { loader.fly(key, &source).await });
                }
                return Ok(webtask);
            }
        }
        metrics.looked_up(false);
        self.fly(key, &source).await
    }

    /// Joins the flight of `key`, or starts it. If whoever started it leaves, another goes on.
    async fn fly(&self, key: Key, source: &Source) -> Result<Arc<Webtask>, Arc<LoadError>> {
        let flight = Box::pin(self.renew(&key, source));
        let outcome = self.flights.get_with(key.clone(), flight).await;
        outcome.map_err(|failed| failed.error)
    }

    /// What an unpinned URL served, if it is still compiled.
    async fn known_of(&self, key: &Key) -> Option<(Arc<Known>, Arc<Webtask>)> {
        if key.sha256.is_some() {
            return None;
        }
        let known = self.known.get(&key.place())?;
        let webtask = self.here(known.digest).await?;
        Some((known, webtask))
    }

    async fn renew(&self, key: &Key, source: &Source) -> Outcome {
        // Whoever was a moment too late for a flight finds what it brought.
        if let Some(digest) = &key.sha256
            && let Some(webtask) = self.compiled.get(digest).await
        {
            return Ok(webtask);
        }
        let known = self.known_of(key).await;
        if let Some((known, webtask)) = &known
            && known.usable(Instant::now(), key.file) == Use::Serve
        {
            return Ok(webtask.clone());
        }
        let before = known.as_ref().map(|(known, _)| &**known);
        let started = Instant::now();
        let fetched = self.worker.fetch(source, key.sha256, before).await;
        let error = fetched.as_ref().err().map(|failure| &failure.error);
        let metrics = &self.observed.metrics;
        metrics.fetched(started.elapsed(), error);
        match (fetched, known) {
            (
                Ok(Fetched::Code {
                    bytes,
                    digest,
                    basis,
                }),
                _,
            ) => {
                let compiled = self.compile(source, bytes, digest).await;
                // What is there now is what counts, also where it does not run.
                self.learn(key, digest, basis.filter(|_| compiled.is_ok()));
                compiled.map_err(|error| Failure::from(error).into())
            }
            (Ok(Fetched::Same(basis)), Some((known, webtask))) => {
                self.learn(key, known.digest, basis);
                Ok(webtask)
            }
            (Ok(Fetched::Same(_)), None) => {
                let reason = "nothing is known that could be the same";
                Err(super::fetch::failed(source, reason).into())
            }
            (Err(failure), Some((known, webtask))) => {
                self.without_origin(key, source, &known, webtask, failure)
            }
            (Err(failure), None) => Err(failure.into()),
        }
    }

    /// What a failure leaves of what was known.
    fn without_origin(
        &self,
        key: &Key,
        source: &Source,
        known: &Known,
        webtask: Arc<Webtask>,
        failure: Failure,
    ) -> Outcome {
        let now = Instant::now();
        if failure.passing && known.serves_if_down(now) {
            tracing::warn!(url = source.shown(), reason = %failure.error, "what was fetched before runs on");
            let failed = known.failed(deadline::after(now, failure.keep));
            self.known.insert(key.place(), Arc::new(failed));
            return Ok(webtask);
        }
        // What an origin did not get to say changes nothing of what it said.
        if !failure.passing {
            self.learn(key, known.digest, None);
        }
        Err(failure.into())
    }

    /// Remembers what an unpinned URL served; forgets it without a `basis`.
    fn learn(&self, key: &Key, digest: [u8; 32], basis: Option<Basis>) {
        match basis {
            _ if key.sha256.is_some() => {}
            Some(basis) => {
                let known = Known::new(digest, basis);
                self.known.insert(key.place(), Arc::new(known));
            }
            None => self.known.invalidate(&key.place()),
        }
    }
}
