//! From a URL in a token to a compiled webtask: permit → fetch → digest → compile → cache.
//!
//! One flight per digest, in memory, bounded. Must not know requests or guests.

mod fetch;
mod file;
mod flight;
mod freshness;

mod known;
mod mirror;
mod oci;
mod origin;
mod registry;
mod source;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    Limits,
    audit::{self, Policy},
    egress::Egress,
    runtime::{Runtime, Webtask},
    text::hex,
};
use flight::{Key, Outcome, Remember};
use known::Known;
pub use mirror::{CodeMirror, CodeMirrorError};
pub use registry::{RegistryAuth, RegistryAuthError};
use source::Source;
pub use source::{CodePrefix, CodePrefixError, not_a_component};

/// URLs of which is remembered what they served, or that they failed.
const URLS: u64 = 10_000;

/// Compilations at the same time: each uses several threads of its own.
const COMPILERS: usize = 2;

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
#[derive(Clone)]
pub(crate) struct Loader {
    worker: Arc<Worker>,
    /// By SHA-256 of the component.
    compiled: Cache<[u8; 32], Arc<Webtask>>,
    /// By URL: what was there, for tokens without a digest.
    known: moka::sync::Cache<String, Arc<Known>>,
    flights: Cache<Key, Outcome>,
}

/// From where code is fetched: what the platform says of it.
pub(crate) struct Origins {
    pub(crate) allowed: Vec<CodePrefix>,
    pub(crate) mirrors: Vec<CodeMirror>,
    pub(crate) registries: RegistryAuth,
}

impl Loader {
    pub(crate) fn new(
        runtime: Runtime,
        egress: Arc<Egress>,
        origins: Origins,
        limits: Limits,
        policy: Option<Arc<Policy>>,
    ) -> Self {
        let compiled = Cache::builder()
            .max_capacity(limits.cache_bytes)
            .weigher(|_, webtask: &Arc<Webtask>| u32::try_from(webtask.size).unwrap_or(u32::MAX))
            .build();
        let flights = Cache::builder()
            .max_capacity(URLS)
            .expire_after(Remember)
            .build();
        let fetches = limits.fetches;
        let worker = Worker {
            runtime,
            egress,
            origins,
            limits,
            policy,
            compiling: Arc::new(Semaphore::new(COMPILERS)),
            fetching: Semaphore::new(fetches),
        };
        Self {
            worker: Arc::new(worker),
            compiled,
            known: moka::sync::Cache::new(URLS),
            flights,
        }
    }

    /// The webtask at `url`; with `sha256`, that code and no other.
    pub(crate) async fn load(
        &self,
        url: &str,
        sha256: Option<[u8; 32]>,
    ) -> Result<Arc<Webtask>, Arc<LoadError>> {
        // Asked of every request: what the platform allows does not depend on what is cached.
        let source = self.worker.permit(url)?;
        if let Some(digest) = &sha256
            && let Some(webtask) = self.kept(digest).await
        {
            return Ok(webtask);
        }
        self.find(source, sha256).await
    }

    /// The webtask of this digest, if it is compiled.
    async fn kept(&self, digest: &[u8; 32]) -> Option<Arc<Webtask>> {
        self.compiled.get(digest).await
    }

    /// Compiles code of the source; all who want this digest share one flight, for it was verified.
    async fn compile(
        &self,
        source: &Source,
        bytes: Bytes,
        digest: [u8; 32],
    ) -> Result<Arc<Webtask>, LoadError> {
        let compile = self.worker.clone().compile(source, bytes, digest);
        let compiled = self.compiled.try_get_with(digest, compile).await;
        compiled.map_err(|error| error.of(source.shown()))
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
    origins: Origins,
    limits: Limits,
    policy: Option<Arc<Policy>>,
    compiling: Arc<Semaphore>,
    fetching: Semaphore,
}

impl Worker {
    async fn compile(
        self: Arc<Self>,
        source: &Source,
        bytes: Bytes,
        digest: [u8; 32],
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
            let place = self.compiling.clone().acquire_owned().await;
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
