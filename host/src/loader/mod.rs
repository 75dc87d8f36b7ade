//! From a URL in a token to a compiled webtask: permit → fetch → digest → compile → cache.
//!
//! One flight per digest, in memory, bounded. Must not know requests or guests.

mod fetch;
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
    compile::{Analysis, CompileError, Compilers},
    egress::Egress,
    lines::Lines,
    observed::Observed,
    runtime::{Runtime, Webtask},
    tenant::Ceiling,
    text::hex,
};
use source::Source;
pub use source::{CodePrefix, CodePrefixError, not_a_component};

/// How long the answer of an unpinned URL is taken as current.
const UNPINNED_FRESH: Duration = Duration::from_secs(2);

/// How long what cannot be compiled is not tried again: each try costs all that the limits allow.
const FAILED_FRESH: Duration = Duration::from_secs(60);

/// Why a component could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Too many components are being fetched.
    #[error("too many components are being fetched at the same time, the limit fetches")]
    Busy,
    /// Compiling took too much memory.
    #[error("compiling {url} took more than {limit} bytes of memory, the limit compile-memory")]
    CompileMemory {
        /// The code's URL, without query.
        url: String,
        /// The limit in force.
        limit: u64,
    },
    /// The compiler failed: it could not be started, crashed, or was killed.
    #[error("the compiler of {url} failed: {reason}")]
    Compiler {
        /// The code's URL, without query.
        url: String,
        /// What is known of it.
        reason: String,
    },
    /// All compilers had other work.
    #[error(
        "no compiler was free within the limit compile; raise compilers, or find out who compiles so much"
    )]
    CompilersBusy,
    /// The component's native code is larger than the limit.
    #[error("{url} compiles to more than {limit} bytes, the limit compiled-bytes")]
    CompiledTooLarge {
        /// The code's URL, without query.
        url: String,
        /// The limit in force.
        limit: u64,
    },
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
    #[error("{what} {url} took longer than {limit:?}, the limit {}", if *.what == "fetching" { "fetch" } else { "compile" })]
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

impl LoadError {
    /// The name in metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::CompileMemory { .. } => "compile-memory",
            Self::CompiledTooLarge { .. } => "compiled-too-large",
            Self::Compiler { .. } => "compiler",
            Self::CompilersBusy => "compilers-busy",
            Self::Denied { .. } => "denied",
            Self::Digest { .. } => "digest",
            Self::Fetch { .. } => "fetch",
            Self::Invalid { .. } => "invalid",
            Self::TenantBusy => "tenant-busy",
            Self::TenantDenied { .. } => "tenant-denied",
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too-large",
        }
    }
}

/// Loads webtasks and keeps them.
pub(crate) struct Loader {
    worker: Arc<Worker>,
    observed: Arc<Observed>,
    /// By SHA-256 of the component.
    compiled: Cache<[u8; 32], Arc<Webtask>>,
    /// By tenant, URL and the token's digest: one flight each, so that whoever names another's digest with an
    /// URL of his own fails alone, and no tenant waits for the place of another. Kept for a moment, for tokens
    /// without a digest.
    fetched: Cache<Flight, Arc<Webtask>>,
    /// What cannot be compiled, by SHA-256 of the component.
    failed: Cache<[u8; 32], Arc<LoadError>>,
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
        compilers: Compilers,
        egress: Arc<Egress>,
        allowed: Vec<CodePrefix>,
        limits: Limits,
        policy: Option<Arc<Policy>>,
        observed: Arc<Observed>,
    ) -> Self {
        let compiled = Cache::builder()
            .max_capacity(limits.cache_bytes)
            .weigher(|_, webtask: &Arc<Webtask>| u32::try_from(webtask.size).unwrap_or(u32::MAX))
            .build();
        let fetched = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(UNPINNED_FRESH)
            .build();
        let failed = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(FAILED_FRESH)
            .build();
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let worker = Worker {
            runtime,
            egress,
            allowed,
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
            fetched,
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
            self.observed.metrics.looked_up(true);
            return Ok(webtask);
        }
        // What is pinned and on disk needs no origin either.
        if let Some(digest) = sha256
            && self.worker.compilers.store.is_some()
            && let Some(webtask) = self
                .compiled
                .optionally_get_with(digest, self.worker.kept(digest))
                .await
        {
            self.observed.metrics.looked_up(true);
            return Ok(webtask);
        }
        self.observed.metrics.looked_up(false);
        let metrics = &self.observed.metrics;
        let flight = async {
            let started = Instant::now();
            let fetched = self.worker.fetch(source, wanted).await;
            metrics.fetched(started.elapsed(), &fetched);
            let (bytes, found) = digest_of(fetched?).await;
            if let Some(expected) = sha256.filter(|expected| *expected != found) {
                let (url, expected, found) = (source.shown(), hex(&expected), hex(&found));
                return Err(LoadError::Digest {
                    url,
                    expected,
                    found,
                });
            }
            if let Some(error) = self.failed.get(&found).await {
                return Err(error.of(source.shown()));
            }
            // Verified: from here on all who want this digest share one flight.
            let asking = wanted.asking(self.worker.compilers.of_tenant());
            let compile = async {
                let started = Instant::now();
                let compiled = self.worker.compile(source, bytes, found, &asking).await;
                metrics.compiled(started.elapsed(), &compiled);
                compiled
            };
            match self.compiled.try_get_with(found, compile).await {
                Err(error) if error.is_of_the_code() => {
                    self.failed.insert(found, error.clone()).await;
                    Err(error.of(source.shown()))
                }
                compiled => compiled.map_err(|error| error.of(source.shown())),
            }
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

/// How components came into memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Loads {
    /// So many were compiled.
    pub compiled: u64,
    /// So many were loaded from the cache directory, compiled before.
    pub loaded: u64,
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
            Self::CompileMemory { limit, .. } => Self::CompileMemory { url, limit: *limit },
            Self::CompiledTooLarge { limit, .. } => Self::CompiledTooLarge { url, limit: *limit },
            Self::Compiler { reason, .. } => Self::Compiler {
                url,
                reason: reason.clone(),
            },
            Self::CompilersBusy => Self::CompilersBusy,
            other => Self::Fetch {
                url,
                reason: other.to_string(),
            },
        }
    }

    /// Whether the same bytes will fail again, after all that the limits allow.
    fn is_of_the_code(&self) -> bool {
        matches!(
            self,
            Self::CompileMemory { .. }
                | Self::CompiledTooLarge { .. }
                | Self::Invalid { .. }
                | Self::Timeout { .. }
        )
    }

    fn of_compiling(error: CompileError, url: String) -> Self {
        match error {
            CompileError::Busy => Self::CompilersBusy,
            CompileError::Failed(reason) => Self::Compiler { url, reason },
            CompileError::Invalid(reason) => Self::Invalid { url, reason },
            CompileError::Memory(limit) => Self::CompileMemory { url, limit },
            CompileError::Timeout(limit) => Self::Timeout {
                what: "compiling",
                url,
                limit,
            },
            CompileError::TooLarge(limit) => Self::CompiledTooLarge { url, limit },
        }
    }
}

/// What fetching and compiling need.
struct Worker {
    runtime: Runtime,
    compilers: Compilers,
    /// See [`Loads`].
    compiled: AtomicU64,
    loaded: AtomicU64,
    egress: Arc<Egress>,
    allowed: Vec<CodePrefix>,
    limits: Limits,
    policy: Option<Arc<Policy>>,
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
        &self,
        source: &Source,
        bytes: Bytes,
        digest: [u8; 32],
        asking: &Asking,
    ) -> Result<Arc<Webtask>, LoadError> {
        let invalid = |reason| LoadError::Invalid {
            url: source.shown(),
            reason,
        };
        if let Some(webtask) = self.kept(digest).await {
            return Ok(webtask);
        }
        if let Some(reason) = not_a_component(&bytes) {
            return Err(invalid(reason.to_owned()));
        }
        let started = Instant::now();
        let size = bytes.len();
        let policy = self.policy.clone();
        // Before the compiler takes its time, and after it has read what is hostile.
        let objection = move |analysis: &Analysis| objection(policy.as_deref(), analysis);
        let compiled = self
            .compilers
            .compile(bytes.clone(), digest, asking, Box::new(objection));
        let compiled = compiled.await;
        let compiled = compiled.map_err(|error| LoadError::of_compiling(error, source.shown()))?;
        let compiling = started.elapsed();
        let (runtime, most) = (self.runtime.clone(), self.limits.debug_bytes);
        let link = move || runtime.link(compiled, digest, Lines::of(&bytes, most));
        let linked = tokio::task::spawn_blocking(link).await;
        let webtask = match linked {
            Ok(Ok(webtask)) => webtask,
            Ok(Err(error)) => return Err(invalid(format!("{error:#}"))),
            Err(panic) => return Err(invalid(format!("it cannot be linked: {panic}"))),
        };
        self.compiled.fetch_add(1, Ordering::Relaxed);
        tracing::info!(url = source.shown(), digest = hex(&digest), size, compiled = webtask.size, took = ?started.elapsed(), ?compiling, "compiled");
        Ok(Arc::new(webtask))
    }

    /// The webtask whose native code is on disk. One that the policy refuses is refused by compiling it.
    async fn kept(&self, digest: [u8; 32]) -> Option<Arc<Webtask>> {
        let store = self.compilers.store.clone()?;
        let (runtime, policy) = (self.runtime.clone(), self.policy.clone());
        let started = Instant::now();
        let load = move || {
            let compiled = store.get(&digest)?;
            if objection(policy.as_deref(), &compiled.analysis).is_some() {
                return None;
            }
            // Its debug information is not kept beside it: a backtrace has names and offsets then.
            let linked = runtime.link(compiled, digest, Lines::default());
            let failed = |error: &_| tracing::warn!(%error, digest = hex(&digest), "compiled code cannot be loaded from disk; compiling anew");
            linked.inspect_err(failed).ok()
        };
        let webtask = tokio::task::spawn_blocking(load).await.ok()??;
        self.loaded.fetch_add(1, Ordering::Relaxed);
        tracing::info!(digest = hex(&digest), compiled = webtask.size, took = ?started.elapsed(), "loaded from disk");
        Some(Arc::new(webtask))
    }
}

/// What the platform has against a component that shows this of itself.
fn objection(policy: Option<&Policy>, analysis: &Analysis) -> Option<String> {
    let policy = policy?;
    let mut imports = analysis.imports.iter();
    imports.find_map(|name| policy.refuses_import(name))
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
