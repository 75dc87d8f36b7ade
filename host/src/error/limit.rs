//! The limit behind an error, by its key in the configuration.

use super::Error;
use crate::{Limit, admission::Refused, loader::LoadError};

impl Error {
    /// There is no place for another reader of live logs.
    pub(crate) fn log_readers(refused: Refused) -> Self {
        let limit = match refused {
            Refused::Overloaded => Limit::LogReaders,
            Refused::Tenant | Refused::Token => Limit::TenantLogReaders,
        };
        Self::LogReaders { limit }
    }

    /// The limit that was reached, if it was one.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::BodyTooLarge { .. } => Some(Limit::RequestBytes),
            Self::Invoke(error) => error.limit(),
            Self::Load(error) => match &**error {
                LoadError::Busy => Some(Limit::Fetches),
                LoadError::CompileMemory { .. } => Some(Limit::CompileMemory),
                LoadError::CompiledTooLarge { .. } => Some(Limit::CompiledBytes),
                LoadError::CompilersBusy => Some(Limit::Compilers),
                LoadError::Invalid { reason, .. } => Limit::of_refused_component(reason),
                LoadError::Timeout { what, .. } if *what == "fetching" => Some(Limit::Fetch),
                LoadError::Timeout { .. } => Some(Limit::Compile),
                LoadError::TenantBusy => Some(Limit::TenantFetches),
                LoadError::TooLarge { .. } => Some(Limit::ComponentBytes),
                _ => None,
            },
            Self::LogReaders { limit } => Some(*limit),
            Self::HeaderFields { .. } => Some(Limit::HeaderFields),
            Self::Overloaded => Some(Limit::Invocations),
            Self::Unread => Some(Limit::Connections),
            Self::RateLimited { .. } => Some(Limit::Rate),
            Self::TenantBusy => Some(Limit::TenantInvocations),
            Self::TenantRateLimited { .. } => Some(Limit::TenantRate),
            Self::TokenBusy => Some(Limit::TokenInvocations),
            _ => None,
        }
    }
}
