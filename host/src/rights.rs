//! `Rights`: what one request may do, as claims ∩ caveats ∩ tenant ∩ platform. Computed once, here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use webtask_token::{Grant, Kind, LinkId, Opened, SecretClaim};

use crate::{Error, Limits, audit::Policy, tenant::Ceiling};

/// The one value that the rest of the host reads.
pub(crate) struct Rights {
    /// Claims less caveats.
    pub(crate) token: webtask_token::Rights,
    pub(crate) secrets: BTreeMap<String, SecretClaim>,
    /// Names of the token's secrets that a policy leaves out, or slots of them, and the name of that policy.
    pub(crate) withheld: BTreeMap<String, String>,
    pub(crate) url: String,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) via: Vec<webtask_token::Carrier>,
    /// The platform's, lowered by the tenant's and by the token.
    pub(crate) limits: Limits,
    pub(crate) tenant: Arc<str>,
    pub(crate) ceiling: Arc<Ceiling>,
}

/// What an outbound request is outside of.
pub(crate) enum Outside<'a> {
    /// The token's grants.
    Token,
    /// The policy of the platform, or of the tenant.
    Policy(&'a Policy),
    /// The operator's list for the tenant.
    Tenant(&'a str),
}

impl Rights {
    /// # Errors
    /// An issuer token has no rights of its own: it mints tokens, and never runs.
    pub(crate) fn of(
        opened: Opened,
        tenant: Arc<str>,
        ceiling: Arc<Ceiling>,
    ) -> Result<Self, Error> {
        if !matches!(opened.claims.kind, Kind::Run) {
            let text = "an issuer token does not run; mint one with it at /v1/tokens";
            return Err(Error::Denied(text.into()));
        }
        let mut token = opened.rights();
        let mut secrets = opened.claims.secrets;
        let mut withheld = BTreeMap::new();
        for policy in &ceiling.policies {
            withheld.extend(keep(&mut secrets, policy));
            if let (Some(root), Some(rate)) = (token.links.first(), policy.limits().rate) {
                // Counted once: a link has one rate, the lower one.
                match token.rates.iter_mut().find(|(link, _)| link == root) {
                    Some((_, of_token)) => *of_token = rate.min(*of_token),
                    None => token.rates.push((*root, rate)),
                }
            }
        }
        Ok(Self {
            limits: ceiling.limits.lowered(&token.lim),
            token,
            secrets,
            withheld,
            tenant,
            ceiling,
            url: opened.claims.url,
            sha256: opened.claims.sha256,
            via: opened.claims.via,
        })
    }

    /// Whether the token holds every secret that the component says it needs, readable or bound.
    pub(crate) fn meet(&self, needs: &BTreeSet<String>) -> Result<(), Error> {
        let missing = needs
            .iter()
            .filter(|name| !self.secrets.contains_key(*name));
        let why = |name: &String| match self.withheld.contains_key(name) {
            true => format!("{name} ({})", self.mend_secret(name)),
            false => name.clone(),
        };
        let missing: Vec<String> = missing.map(why).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::SecretMissing(missing))
    }

    /// Whether the guest may send this request: granted by claims and caveats, within the tenant's list
    /// and every policy.
    /// Arguments as for [`webtask_token::Grant::allows`].
    pub(crate) fn allows_outbound(
        &self,
        method: &str,
        scheme: &str,
        host: &str,
        port: u16,
        path: &str,
    ) -> Result<(), Outside<'_>> {
        if !self.token.allows_outbound(method, scheme, host, port, path) {
            return Err(Outside::Token);
        }
        let allowed = |grants: &[Grant]| {
            let mut grants = grants.iter();
            grants.any(|grant| grant.allows(method, scheme, host, port, path))
        };
        if self.ceiling.out.as_deref().is_some_and(|out| !allowed(out)) {
            return Err(Outside::Tenant(&self.tenant));
        }
        let outside = |policy: &&Arc<Policy>| policy.out().is_some_and(|out| !allowed(out));
        match self.ceiling.policies.iter().find(outside) {
            Some(policy) => Err(Outside::Policy(policy)),
            None => Ok(()),
        }
    }

    /// The first link of the token: what it has in common with all that is made from it.
    pub(crate) fn root(&self) -> LinkId {
        self.token.links.first().copied().unwrap_or(self.token.id)
    }

    /// What would give the guest the secret `name`, for the author's log.
    pub(crate) fn mend_secret(&self, name: &str) -> String {
        match self.withheld.get(name) {
            Some(policy) => format!(
                "the platform's policy {policy} leaves it out; its operator would add `secret: {name}` or `bind: {name}=...`"
            ),
            None => format!("grant it with --secret {name}=VALUE"),
        }
    }
}

/// Takes out of `secrets` what the policy does not have; the names of those that lost anything, and its own.
fn keep(secrets: &mut BTreeMap<String, SecretClaim>, policy: &Policy) -> BTreeMap<String, String> {
    let mut withheld = BTreeMap::new();
    for (name, secret) in std::mem::take(secrets) {
        let slots = secret.slots.len();
        let kept = policy.keep(&name, secret);
        if kept.as_ref().is_none_or(|kept| kept.slots.len() < slots) {
            withheld.insert(name.clone(), policy.name().to_owned());
        }
        secrets.extend(kept.map(|kept| (name, kept)));
    }
    withheld
}
