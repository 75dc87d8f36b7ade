//! From a URL in a token to a compiled webtask: permit → fetch → digest → compile → cache.
//!
//! One flight per digest, in memory, bounded. Must not know requests or guests.

mod error;
mod fetch;
mod file;
mod flight;
mod freshness;
mod known;
mod make;
mod mirror;
mod oci;
mod origin;
mod permitted;
mod registry;
mod source;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use webtask_token::LinkId;

use crate::{
    Limits,
    admission::{Asking, AtBound, Place, Places, Refused},
    audit::Policy,
    compile::Compilers,
    egress::Egress,
    observed::Observed,
    runtime::{Runtime, Webtask},
    tenant::Ceiling,
};
pub use error::LoadError;
use flight::{Key, Outcome, Remember};
use known::Known;
pub use mirror::{CodeMirror, CodeMirrorError};
pub(crate) use permitted::Permitted;
pub use registry::{RegistryAuth, RegistryAuthError};
use source::Source;
pub use source::{CodePrefix, CodePrefixError, not_a_component};

/// URLs of which is remembered what they served, or that they failed.
const URLS: u64 = 10_000;

/// How long what cannot be compiled is not tried again: each try costs all that the limits allow.
const FAILED_FRESH: Duration = Duration::from_secs(60);

/// Loads webtasks and keeps them.
#[derive(Clone)]
pub(crate) struct Loader {
    worker: Arc<Worker>,
    observed: Arc<Observed>,
    /// By SHA-256 of the component.
    compiled: Cache<[u8; 32], Arc<Webtask>>,
    /// By tenant and URL: what was there, for tokens without a digest. Of each tenant its own, for its prefixes
    /// say which redirects are followed.
    known: moka::sync::Cache<(Arc<str>, String), Arc<Known>>,
    flights: Cache<Key, Outcome>,
    /// What cannot be compiled, by SHA-256 of the component; for one tenant what its own load may have to do with.
    failed: Cache<Failing, Arc<LoadError>>,
}

/// Whose failure it is, everybody's or one tenant's, and the code's digest.
type Failing = (Option<Arc<str>>, [u8; 32]);

/// From where code is fetched: what the platform says of it.
pub(crate) struct Origins {
    pub(crate) allowed: Vec<CodePrefix>,
    pub(crate) mirrors: Vec<CodeMirror>,
    pub(crate) registries: RegistryAuth,
}

/// Code that somebody wants.
pub(crate) struct Wanted<'a> {
    pub(crate) url: &'a str,
    /// That code and no other.
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) by: Asker,
}

/// Who wants code: what that tenant may run, and whose places are taken for it.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) tenant: Arc<str>,
    /// The first link of the token.
    pub(crate) root: LinkId,
    pub(crate) ceiling: Arc<Ceiling>,
}

impl Loader {
    pub(crate) fn new(
        runtime: Runtime,
        compilers: Compilers,
        egress: Arc<Egress>,
        origins: Origins,
        limits: Limits,
        policy: Option<Arc<Policy>>,
        observed: Arc<Observed>,
    ) -> Self {
        let compiled = Cache::builder()
            .max_capacity(limits.cache_bytes)
            .time_to_idle(limits.cache_idle)
            .weigher(|_, webtask: &Arc<Webtask>| u32::try_from(webtask.size).unwrap_or(u32::MAX))
            .build();
        let flights = Cache::builder()
            .max_capacity(URLS)
            .expire_after(Remember)
            .build();
        let failed = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(FAILED_FRESH)
            .build();
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let worker = Worker {
            runtime,
            egress,
            origins,
            policy,
            compilers,
            compiled: AtomicU64::new(0),
            loaded: AtomicU64::new(0),
            fetching: Places::new(
                count(limits.fetches),
                limits.queue,
                limits.queue_time,
                AtBound::Refuse,
            ),
            tenant_fetches: count(limits.tenant_fetches),
            limits,
        };
        Self {
            worker: Arc::new(worker),
            observed,
            compiled,
            known: moka::sync::Cache::new(URLS),
            flights,
            failed,
        }
    }

    pub(crate) fn loads(&self) -> Loads {
        Loads {
            compiled: self.worker.compiled.load(Ordering::Relaxed),
            loaded: self.worker.loaded.load(Ordering::Relaxed),
        }
    }

    /// How many components are kept compiled, and their bytes before that. Behind by what happened in the last
    /// moments.
    pub(crate) fn kept(&self) -> (u64, u64) {
        (self.compiled.entry_count(), self.compiled.weighted_size())
    }

    /// Whether the native code of this component is on disk.
    pub(crate) fn is_on_disk(&self, digest: &[u8; 32]) -> bool {
        let store = self.worker.compilers.store.as_ref();
        store.is_some_and(|store| store.has(digest))
    }

    /// Lets go of what is not kept any more; requests do that as well, and there may be none.
    pub(crate) async fn tidy(&self) {
        self.compiled.run_pending_tasks().await;
    }

    /// The webtask that is wanted, if platform and tenant allow it.
    pub(crate) async fn load(&self, wanted: &Wanted<'_>) -> Result<Arc<Webtask>, Arc<LoadError>> {
        let webtask = match self.warm(wanted).await {
            Some(webtask) => webtask,
            None => {
                // What is allowed does not depend on what is cached.
                let source = self.worker.permit(wanted.url, &wanted.by)?;
                let webtask = self.webtask(source, wanted.sha256).await?;
                if wanted.sha256.is_some() {
                    webtask.permitted.add(wanted.url, &wanted.by);
                }
                webtask
            }
        };
        // The same for imports: tenants share what is compiled, and not their policies.
        match wanted.by.ceiling.refuses(&webtask.imports) {
            None => Ok(webtask),
            Some(reason) => Err(Arc::new(LoadError::Invalid {
                url: self.worker.permit(wanted.url, &wanted.by)?.shown(),
                reason: format!("for the tenant {}: {reason}", wanted.by.tenant),
            })),
        }
    }

    /// What is pinned, in memory, and of a URL that was permitted before.
    async fn warm(&self, wanted: &Wanted<'_>) -> Option<Arc<Webtask>> {
        let webtask = self.compiled.get(&wanted.sha256?).await?;
        if !webtask.permitted.has(wanted.url, &wanted.by) {
            return None;
        }
        self.observed.metrics.looked_up(true);
        Some(webtask)
    }

    async fn webtask(
        &self,
        source: Source,
        sha256: Option<[u8; 32]>,
    ) -> Result<Arc<Webtask>, Arc<LoadError>> {
        // What is pinned and here needs no origin.
        if let Some(digest) = sha256
            && let Some(webtask) = self.here(digest).await
        {
            self.observed.metrics.looked_up(true);
            return Ok(webtask);
        }
        if let Some(digest) = sha256
            && let Some(error) = self.failed_before(&source.by, digest).await
        {
            self.observed.metrics.looked_up(false);
            return Err(Arc::new(error.of(source.shown())));
        }
        self.find(source, sha256).await
    }

    /// The webtask of this digest, if it is in memory or on disk.
    async fn here(&self, digest: [u8; 32]) -> Option<Arc<Webtask>> {
        match self.compiled.get(&digest).await {
            None if self.worker.compilers.store.is_some() => {
                let kept = self.worker.kept(digest);
                self.compiled.optionally_get_with(digest, kept).await
            }
            compiled => compiled,
        }
    }

    /// Compiles code of the source; all who want this digest share one flight, for it was verified.
    async fn compile(
        &self,
        source: &Source,
        bytes: Bytes,
        digest: [u8; 32],
    ) -> Result<Arc<Webtask>, LoadError> {
        // Fetched anew, and the same as before.
        if let Some(webtask) = self.here(digest).await {
            return Ok(webtask);
        }
        if let Some(error) = self.failed_before(&source.by, digest).await {
            return Err(error.of(source.shown()));
        }
        // Taken before the flight is joined: nobody waits in the line of another tenant.
        let asking = source.by.asking(self.worker.compilers.of_tenant());
        let place = self.worker.compilers.place(&asking).await;
        let place = place.map_err(|error| LoadError::of_compiling(error, source.shown()))?;
        let compile = async {
            let started = Instant::now();
            let compiled = self.worker.compile(source, bytes, digest, place).await;
            let metrics = &self.observed.metrics;
            metrics.compiled(started.elapsed(), compiled.as_ref().err());
            compiled
        };
        let compiled = self.compiled.try_get_with(digest, compile).await;
        if let Err(error) = &compiled
            && let Some(whose) = error.fails_again(&source.by.tenant)
        {
            self.failed.insert((whose, digest), error.clone()).await;
        }
        compiled.map_err(|error| error.of(source.shown()))
    }

    /// Why this code was not compiled a moment ago, for all or for this tenant.
    async fn failed_before(&self, by: &Asker, digest: [u8; 32]) -> Option<Arc<LoadError>> {
        match self.failed.get(&(None, digest)).await {
            None => self.failed.get(&(Some(by.tenant.clone()), digest)).await,
            failed => failed,
        }
    }
}

impl Asker {
    /// Asks for a place of which the tenant, and each token of it, may have `most`.
    fn asking(&self, most: u32) -> Asking {
        Asking {
            tenant: self.tenant.clone(),
            tenant_most: most,
            root: self.root,
            root_most: most,
        }
    }
}

/// How components came into memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Loads {
    /// So many were compiled.
    pub compiled: u64,
    /// So many were loaded from the cache directory, compiled before.
    pub loaded: u64,
}

/// What fetching and compiling need.
struct Worker {
    runtime: Runtime,
    compilers: Compilers,
    /// See [`Loads`].
    compiled: AtomicU64,
    loaded: AtomicU64,
    egress: Arc<Egress>,
    origins: Origins,
    limits: Limits,
    policy: Option<Arc<Policy>>,
    fetching: Arc<Places>,
    tenant_fetches: u32,
}

impl Worker {
    /// A place to fetch.
    async fn place(&self, by: &Asker) -> Result<Place, LoadError> {
        let asking = by.asking(self.tenant_fetches);
        let taken = self.fetching.take(&asking).await;
        taken.map_err(|refused| match refused {
            Refused::Overloaded => LoadError::Busy,
            Refused::Tenant | Refused::Token => LoadError::TenantBusy,
        })
    }
}

/// SHA-256 of `bytes`, off the request threads: a megabyte takes half a millisecond.
async fn digest_of(bytes: Bytes) -> (Bytes, [u8; 32]) {
    let copy = bytes.clone();
    match tokio::task::spawn_blocking(move || Sha256::digest(&copy).into()).await {
        Ok(digest) => (bytes, digest),
        // Only a runtime that is shutting down refuses the task; nobody waits for this answer then.
        Err(_) => (bytes, [0; 32]),
    }
}
