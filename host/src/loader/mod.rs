//! From a URL in a token to a compiled webtask: permit → fetch → digest → compile → cache.
//!
//! One flight per digest, in memory, bounded. Must not know requests or guests.

mod fetch;
mod source;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use webtask_token::LinkId;

use crate::{
    Limits,
    admission::{Asking, AtBound, Place, Places, Refused},
    audit::{self, Policy},
    egress::Egress,
    runtime::{Runtime, Webtask},
    tenant::Ceiling,
    text::hex,
};
use source::Source;
pub use source::{CodePrefix, CodePrefixError, not_a_component};

/// How long the answer of an unpinned URL is taken as current.
const UNPINNED_FRESH: Duration = Duration::from_secs(2);

/// Compilations at the same time: each uses several threads of its own.
const COMPILERS: u32 = 2;

/// Of those, for one tenant: another one's code never waits for both.
const COMPILERS_OF_TENANT: u32 = 1;

/// Why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Too many components are being fetched.
    #[error("too many components are being fetched at the same time, the limit fetches")]
    Busy,
    /// The platform does not allow code from there.
    #[error("code from {url} is not allowed on this host; allow it with --allow-code {hint}")]
    Denied {
        /// The code's URL, without query.
        url: String,
        /// A prefix that would allow it.
        hint: String,
    },
    /// The bytes are not the ones that the token names.
    #[error(
        "the code at {url} has SHA-256 {found}, the token names {expected}; mint a token for the new code"
    )]
    Digest {
        /// The code's URL, without query.
        url: String,
        /// The token's digest, hexadecimal.
        expected: String,
        /// The digest of what was fetched, hexadecimal.
        found: String,
    },
    /// The code could not be fetched.
    #[error("cannot fetch {url}: {reason}")]
    Fetch {
        /// The code's URL, without query.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The bytes are not a component that this host can run.
    #[error("{url} cannot run here: {reason}")]
    Invalid {
        /// The code's URL, without query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many components of this tenant are being fetched.
    #[error(
        "too many components of this tenant are being fetched at the same time, the limit tenant-fetches"
    )]
    TenantBusy,
    /// The tenant's own prefixes do not have it.
    #[error(
        "code from {url} is not allowed for the tenant {tenant}; its operator would add a prefix to allow-code of [tenants.{tenant}]"
    )]
    TenantDenied {
        /// The code's URL, without query.
        url: String,
        /// The tenant.
        tenant: String,
    },
    /// Fetching or compiling took too long.
    #[error("{what} {url} took longer than {limit:?}")]
    Timeout {
        /// `fetching` or `compiling`.
        what: &'static str,
        /// The code's URL, without query.
        url: String,
        /// The limit in force.
        limit: Duration,
    },
    /// The component is larger than the limit.
    #[error("{url} is larger than {limit} bytes, the limit component-bytes")]
    TooLarge {
        /// The code's URL, without query.
        url: String,
        /// The limit in force.
        limit: u64,
    },
}

/// Loads webtasks and keeps them.
pub(crate) struct Loader {
    worker: Arc<Worker>,
    /// By SHA-256 of the component.
    compiled: Cache<[u8; 32], Arc<Webtask>>,
    /// By tenant, URL and the token's digest: one flight each, so that whoever names another's digest with an
    /// URL of his own fails alone, and no tenant waits for the place of another. Kept for a moment, for tokens
    /// without a digest.
    fetched: Cache<Flight, Arc<Webtask>>,
}

/// Tenant, URL and the token's digest.
type Flight = (Arc<str>, String, Option<[u8; 32]>);

/// Code that somebody wants.
pub(crate) struct Wanted<'a> {
    pub(crate) url: &'a str,
    /// That code and no other.
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) tenant: &'a Arc<str>,
    /// The first link of the token.
    pub(crate) root: LinkId,
    pub(crate) ceiling: &'a Ceiling,
}

impl Loader {
    pub(crate) fn new(
        runtime: Runtime,
        egress: Arc<Egress>,
        allowed: Vec<CodePrefix>,
        limits: Limits,
        policy: Option<Arc<Policy>>,
    ) -> Self {
        let compiled = Cache::builder()
            .max_capacity(limits.cache_bytes)
            .weigher(|_, webtask: &Arc<Webtask>| u32::try_from(webtask.size).unwrap_or(u32::MAX))
            .build();
        let fetched = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(UNPINNED_FRESH)
            .build();
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let worker = Worker {
            runtime,
            egress,
            allowed,
            policy,
            // Whoever waits here was fetched, which bounds their number; the limit compile bounds the time.
            compiling: Places::new(COMPILERS, usize::MAX, limits.compile, AtBound::Wait),
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
            compiled,
            fetched,
        }
    }

    /// The webtask that is wanted, if platform and tenant allow it.
    pub(crate) async fn load(&self, wanted: &Wanted<'_>) -> Result<Arc<Webtask>, Arc<LoadError>> {
        // Asked of every request: what is allowed does not depend on what is cached.
        let source = self.worker.permit(wanted.url, wanted)?;
        let webtask = self.webtask(wanted, &source).await?;
        // The same for imports: tenants share what is compiled, and not their policies.
        match wanted.ceiling.refuses(&webtask.imports) {
            None => Ok(webtask),
            Some(reason) => Err(Arc::new(LoadError::Invalid {
                url: source.shown(),
                reason: format!("for the tenant {}: {reason}", wanted.tenant),
            })),
        }
    }

    async fn webtask(
        &self,
        wanted: &Wanted<'_>,
        source: &Source,
    ) -> Result<Arc<Webtask>, Arc<LoadError>> {
        let sha256 = wanted.sha256;
        if let Some(digest) = sha256
            && let Some(webtask) = self.compiled.get(&digest).await
        {
            return Ok(webtask);
        }
        let flight = async {
            let (bytes, found) = digest_of(self.worker.fetch(source, wanted).await?).await;
            if let Some(expected) = sha256.filter(|expected| *expected != found) {
                let (url, expected, found) = (source.shown(), hex(&expected), hex(&found));
                return Err(LoadError::Digest {
                    url,
                    expected,
                    found,
                });
            }
            // Verified: from here on all who want this digest share one flight.
            let asking = wanted.asking(COMPILERS_OF_TENANT);
            let compile = self.worker.clone().compile(source, bytes, found, asking);
            let compiled = self.compiled.try_get_with(found, compile).await;
            compiled.map_err(|error| error.of(source.shown()))
        };
        let key = (wanted.tenant.clone(), wanted.url.to_owned(), sha256);
        self.fetched.try_get_with(key, flight).await
    }
}

impl Wanted<'_> {
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

impl LoadError {
    /// The same failure for another URL of the same code: a flight's error goes to all who shared it, and
    /// none of them is to read another's URL.
    fn of(&self, url: String) -> Self {
        match self {
            Self::Invalid { reason, .. } => Self::Invalid {
                url,
                reason: reason.clone(),
            },
            Self::Timeout { what, limit, .. } => Self::Timeout {
                what,
                url,
                limit: *limit,
            },
            other => Self::Fetch {
                url,
                reason: other.to_string(),
            },
        }
    }
}

/// What fetching and compiling need.
struct Worker {
    runtime: Runtime,
    egress: Arc<Egress>,
    allowed: Vec<CodePrefix>,
    limits: Limits,
    policy: Option<Arc<Policy>>,
    compiling: Arc<Places>,
    fetching: Arc<Places>,
    tenant_fetches: u32,
}

impl Worker {
    /// A place to fetch.
    async fn place(&self, wanted: &Wanted<'_>) -> Result<Place, LoadError> {
        let taken = self
            .fetching
            .take(&wanted.asking(self.tenant_fetches))
            .await;
        taken.map_err(|refused| match refused {
            Refused::Overloaded => LoadError::Busy,
            Refused::Tenant | Refused::Token => LoadError::TenantBusy,
        })
    }

    async fn compile(
        self: Arc<Self>,
        source: &Source,
        bytes: Bytes,
        digest: [u8; 32],
        asking: Asking,
    ) -> Result<Arc<Webtask>, LoadError> {
        let limit = self.limits.compile;
        let invalid = |reason| LoadError::Invalid {
            url: source.shown(),
            reason,
        };
        if let Some(reason) = not_a_component(&bytes) {
            return Err(invalid(reason.to_owned()));
        }
        let started = Instant::now();
        let size = bytes.len();
        let compiled = tokio::time::timeout(limit, async {
            let place = self.compiling.take(&asking).await;
            let (runtime, policy) = (self.runtime.clone(), self.policy.clone());
            let work = move || {
                // The thread holds the place: a compilation that nobody awaits any more still counts.
                let _place = place;
                if let Some(policy) = policy {
                    let imports = audit::imports(&bytes).map_err(wasmtime::Error::new)?;
                    let mut outside = imports
                        .iter()
                        .filter_map(|name| policy.refuses_import(name));
                    if let Some(reason) = outside.next() {
                        return Err(wasmtime::Error::msg(reason));
                    }
                }
                runtime.prepare(&bytes, digest)
            };
            tokio::task::spawn_blocking(work).await
        })
        .await
        .map_err(|_| LoadError::Timeout {
            what: "compiling",
            url: source.shown(),
            limit,
        })?;
        let webtask = match compiled {
            Ok(Ok(webtask)) => webtask,
            Ok(Err(error)) => return Err(invalid(format!("{error:#}"))),
            Err(panic) => return Err(invalid(format!("the compiler failed: {panic}"))),
        };
        tracing::info!(url = source.shown(), digest = hex(&digest), size, took = ?started.elapsed(), "compiled");
        Ok(Arc::new(webtask))
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
