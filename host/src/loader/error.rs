//! Why a component could not be loaded.

use std::{sync::Arc, time::Duration};

use crate::compile::CompileError;

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

impl LoadError {
    /// The same failure for another URL of the same code: a flight's error goes to all who shared it, and
    /// none of them is to read another's URL.
    pub(super) fn of(&self, url: String) -> Self {
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

    /// Whether the same bytes will fail again, after all that the limits allow: for everybody, or for `tenant`
    /// alone, whose load may have made it slow.
    pub(super) fn fails_again(&self, tenant: &Arc<str>) -> Option<Option<Arc<str>>> {
        match self {
            Self::CompileMemory { .. } | Self::CompiledTooLarge { .. } | Self::Invalid { .. } => {
                Some(None)
            }
            Self::Timeout { .. } => Some(Some(tenant.clone())),
            _ => None,
        }
    }

    pub(super) fn of_compiling(error: CompileError, url: String) -> Self {
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
