//! Tenants: what the operator says of each, and the ceiling that it makes for every token of that tenant.
//!
//! A tenant's ceiling only takes away from the platform's. Must not know requests, and reads no token.

mod limits;

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio::time::Instant;
use webtask_token::Grant;

pub use limits::TenantLimits;

use crate::{
    CodePrefix, Limits,
    audit::{Interface, Policy, Standing},
    config::ConfigError,
    rate::Bucket,
};

/// What becomes of tokens whose tenant is not in the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownTenants {
    /// They are served within what the platform allows to all.
    #[default]
    Serve,
    /// They neither run nor mint.
    Refuse,
}

/// Whose tokens read the log of webtasks at `GET /v1/logs`; what stands later allows more.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReadLogs {
    /// No token.
    Nobody,
    /// Issuer tokens.
    Issuers,
    /// Those, and run tokens as they were created: neither narrowed, nor minted, nor good for a URL.
    #[default]
    WholeTokens,
    /// All, each its own lines and those of what was made from it.
    Tokens,
}

/// A table `[tenants.NAME]` of the operator's file. Every key is optional and only takes away from what the
/// platform allows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TenantFile {
    /// Where its code may come from: prefixes as in the platform's `allow-code`, which have to allow it too.
    pub allow_code: Option<Vec<String>>,
    /// Invocations at the same time, instead of the platform's `tenant-invocations`.
    pub invocations: Option<u32>,
    /// Limits of its runs, none of them above the platform's.
    pub limits: TenantLimits,
    /// Outbound requests that its tokens may at most be granted, each as in `--allow`; none for an empty list.
    pub out: Option<Vec<String>>,
    /// The file of its policy, WIT, a ceiling as the platform's own.
    pub policy: Option<PathBuf>,
    /// Calls in a minute, of all its tokens together.
    pub rate: Option<u64>,
    /// Whose tokens read the log of its webtasks, none beyond the platform's `read-logs`.
    pub read_logs: Option<ReadLogs>,
}

/// What the operator says of one tenant.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tenant {
    /// Prefixes for its code; `None` for the platform's alone.
    pub code: Option<Vec<CodePrefix>>,
    /// Invocations at the same time.
    pub invocations: u32,
    /// The platform's, lowered.
    pub limits: Limits,
    /// The outbound requests that it may send at most; `None` for any that a token grants.
    pub out: Option<Vec<Grant>>,
    /// A ceiling beside the platform's.
    pub policy: Option<Policy>,
    /// Calls in a minute.
    pub rate: Option<u64>,
    /// Whose tokens read the log; `None` for the platform's.
    pub read_logs: Option<ReadLogs>,
}

/// The tenants of a platform.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tenants {
    /// By name.
    pub named: HashMap<String, Tenant>,
    /// All others.
    pub unknown: UnknownTenants,
    /// Whose tokens read the log of webtasks.
    pub read_logs: ReadLogs,
}

impl TenantFile {
    /// Reads what the table of the tenant `name` names, against the limits of the platform.
    ///
    /// # Errors
    /// What cannot be read or means nothing, and a number above the platform's.
    pub(crate) fn read(&self, name: &str, platform: &Limits) -> Result<Tenant, ConfigError> {
        let wrong =
            |key: &str, why: String| ConfigError::Value(format!("[tenants.{name}], {key}: {why}"));
        if !webtask_token::is_name(name) {
            let why = "a tenant is 1 to 64 of A-Z a-z 0-9 _ . -".to_owned();
            return Err(wrong("its name", why));
        }
        let all = |texts: &Option<Vec<String>>| texts.clone();
        let code = all(&self.allow_code).map(|texts| {
            let parse = |text: &String| text.parse::<CodePrefix>();
            texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
        });
        let out = all(&self.out).map(|texts| {
            let parse = |text: &String| {
                let grant = text.parse::<Grant>();
                grant.map_err(|error| format!("{text:?}: {error}"))
            };
            texts.iter().map(parse).collect::<Result<Vec<_>, _>>()
        });
        let read = |path: &PathBuf| {
            let shown = path.display().to_string();
            let text =
                std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
            Policy::parse(&shown, &text).map_err(|error| error.to_string())
        };
        let invocations = self
            .invocations
            .unwrap_or(platform.tenant_invocations.min(platform.invocations));
        if invocations > platform.invocations {
            let most = platform.invocations;
            let why = format!("{invocations} is more than the platform's invocations, {most}");
            return Err(wrong("invocations", why));
        }
        Ok(Tenant {
            code: code
                .transpose()
                .map_err(|error| wrong("allow-code", error.to_string()))?,
            invocations,
            limits: self
                .limits
                .over(platform)
                .map_err(|why| wrong("limits", why))?,
            out: out.transpose().map_err(|why| wrong("out", why))?,
            policy: self
                .policy
                .as_ref()
                .map(read)
                .transpose()
                .map_err(|why| wrong("policy", why))?,
            rate: self.rate,
            read_logs: self.read_logs,
        })
    }
}

/// All that a tenant has at most: its own ceiling below the platform's.
pub(crate) struct Ceiling {
    pub(crate) limits: Limits,
    /// The platform's first, then the tenant's.
    pub(crate) policies: Vec<Arc<Policy>>,
    /// How many of `policies` are not the platform's: loading asks that one anyway.
    own_policies: usize,
    pub(crate) out: Option<Vec<Grant>>,
    pub(crate) code: Option<Arc<[CodePrefix]>>,
    pub(crate) invocations: u32,
    pub(crate) read_logs: ReadLogs,
    rate: Option<(u64, Bucket)>,
}

impl Ceiling {
    fn of(
        tenant: Option<Tenant>,
        platform: &Limits,
        policy: Option<&Arc<Policy>>,
        read_logs: ReadLogs,
    ) -> Self {
        let mut ceiling = Self {
            limits: platform.clone(),
            policies: policy.into_iter().cloned().collect(),
            own_policies: 0,
            out: None,
            code: None,
            invocations: platform.tenant_invocations,
            read_logs,
            rate: None,
        };
        let Some(tenant) = tenant else {
            return ceiling;
        };
        ceiling.limits = tenant.limits;
        ceiling.own_policies = usize::from(tenant.policy.is_some());
        ceiling.policies.extend(tenant.policy.map(Arc::new));
        for policy in &ceiling.policies {
            ceiling.limits = ceiling.limits.lowered(policy.limits());
        }
        ceiling.out = tenant.out;
        ceiling.code = tenant.code.map(Into::into);
        ceiling.invocations = tenant.invocations;
        ceiling.read_logs = tenant.read_logs.unwrap_or(read_logs).min(read_logs);
        ceiling.rate = tenant.rate.map(|rate| (rate, Bucket::full(Instant::now())));
        ceiling
    }

    /// Takes one call of the whole tenant, or says when there will be one.
    pub(crate) fn count(&self) -> Result<(), Duration> {
        self.rate
            .as_ref()
            .map_or(Ok(()), |(rate, bucket)| bucket.take(*rate, Instant::now()))
    }

    /// Why a component with these imports may not run for this tenant. The platform's policy was asked when it
    /// was compiled, which other tenants share.
    pub(crate) fn refuses(&self, imports: &[String]) -> Option<String> {
        let own = self.policies.iter().rev().take(self.own_policies);
        own.flat_map(|policy| imports.iter().map(|import| policy.refuses_import(import)))
            .find_map(|refused| refused)
    }
}

/// Which of a component's imports a policy could refuse: those that give something, or that it does not know.
pub(crate) fn asked_of_policies(imports: Vec<String>) -> Vec<String> {
    let gives = |name: &String| {
        let interface = name.parse::<Interface>();
        interface.map_or(true, |interface| interface.standing() != Standing::Nothing)
    };
    imports.into_iter().filter(gives).collect()
}

/// The ceilings of all tenants.
pub(crate) struct Ceilings {
    named: HashMap<String, (Arc<str>, Arc<Ceiling>)>,
    /// For tenants without one; `None` if they are refused.
    others: Option<Arc<Ceiling>>,
}

impl Ceilings {
    /// `platform` as lowered by `policy`.
    pub(crate) fn new(tenants: Tenants, platform: &Limits, policy: Option<&Arc<Policy>>) -> Self {
        let read_logs = tenants.read_logs;
        let ceiling = |tenant| Arc::new(Ceiling::of(tenant, platform, policy, read_logs));
        let named = tenants.named.into_iter().map(|(name, tenant)| {
            let shared = Arc::from(name.as_str());
            (name, (shared, ceiling(Some(tenant))))
        });
        Self {
            named: named.collect(),
            others: (tenants.unknown == UnknownTenants::Serve).then(|| ceiling(None)),
        }
    }

    /// The ceiling of the tenant `name`, and its name to share; `None` if it is not served.
    pub(crate) fn of(&self, name: &str) -> Option<(Arc<str>, Arc<Ceiling>)> {
        let named = self.named.get(name).cloned();
        named.or_else(|| Some((Arc::from(name), self.others.clone()?)))
    }
}
