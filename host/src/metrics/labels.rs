//! Labels, each of a bounded set.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use prometheus_client::encoding::EncodeLabelSet;

/// Tenants with a label of their own, in one process; those of the configuration first.
pub(super) const TENANTS: usize = 100;
/// The label of all others. A tenant of that name is counted with them.
const OTHER: &str = "other";

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Request {
    pub(super) tenant: Arc<str>,
    pub(super) code: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Tenant {
    pub(super) tenant: Arc<str>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct OfPhase {
    pub(super) phase: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Limit {
    pub(super) limit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Lookup {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Failure {
    pub(super) stage: &'static str,
    pub(super) cause: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub(super) struct Build {
    pub(super) version: &'static str,
}

/// The labels of tenants, bounded.
pub(super) struct Tenants {
    labels: RwLock<HashMap<Arc<str>, Arc<str>>>,
    other: Arc<str>,
}

impl Tenants {
    pub(super) fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().take(TENANTS).map(Arc::<str>::from);
        Self {
            labels: RwLock::new(known.map(|name| (name.clone(), name)).collect()),
            other: OTHER.into(),
        }
    }

    pub(super) fn label(&self, tenant: &str) -> Arc<str> {
        {
            let labels = self.labels.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(label) = labels.get(tenant) {
                return label.clone();
            }
            if labels.len() >= TENANTS {
                return self.other.clone();
            }
        }
        let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
        if labels.len() >= TENANTS && !labels.contains_key(tenant) {
            return self.other.clone();
        }
        let name = Arc::<str>::from(tenant);
        labels.entry(name.clone()).or_insert(name).clone()
    }
}
