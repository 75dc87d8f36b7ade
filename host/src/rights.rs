//! `Rights`: what one request may do, as claims ∩ caveats ∩ platform. Computed once, here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use webtask_token::{Kind, Opened, SecretClaim};

use crate::{Error, Limits, audit::Policy};

/// The one value that the rest of the host reads.
pub(crate) struct Rights {
    /// Claims less caveats.
    pub(crate) token: webtask_token::Rights,
    pub(crate) secrets: BTreeMap<String, SecretClaim>,
    /// Names of the token's secrets that the platform's policy leaves out, or slots of them.
    pub(crate) withheld: BTreeSet<String>,
    pub(crate) url: String,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) via: Vec<webtask_token::Carrier>,
    /// The platform's, lowered by the token.
    pub(crate) limits: Limits,
    policy: Option<Arc<Policy>>,
}

/// What an outbound request is outside of.
pub(crate) enum Outside<'a> {
    /// The token's grants.
    Token,
    /// The platform's policy.
    Policy(&'a Policy),
}

impl Rights {
    /// # Errors
    /// An issuer token has no rights of its own: it mints tokens, and never runs.
    pub(crate) fn of(
        opened: Opened,
        platform: &Limits,
        policy: Option<&Arc<Policy>>,
    ) -> Result<Self, Error> {
        if !matches!(opened.claims.kind, Kind::Run) {
            let text = "an issuer token does not run; mint one with it at /v1/tokens";
            return Err(Error::Denied(text.into()));
        }
        let mut token = opened.rights();
        let mut secrets = opened.claims.secrets;
        let mut withheld = BTreeSet::new();
        if let Some(policy) = policy {
            withheld = keep(&mut secrets, policy);
            if let (Some(root), Some(rate)) = (token.links.first(), policy.limits().rate) {
                // Counted once: a link has one rate, the lower one.
                match token.rates.iter_mut().find(|(link, _)| link == root) {
                    Some((_, of_token)) => *of_token = rate.min(*of_token),
                    None => token.rates.push((*root, rate)),
                }
            }
        }
        Ok(Self {
            limits: platform.lowered(&token.lim),
            token,
            secrets,
            withheld,
            policy: policy.cloned(),
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
        let why = |name: &String| match self.withheld.contains(name) {
            true => format!("{name} ({})", self.mend_secret(name)),
            false => name.clone(),
        };
        let missing: Vec<String> = missing.map(why).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::SecretMissing(missing))
    }

    /// Whether the guest may send this request: granted by claims, caveats and the platform's policy.
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
        let Some(policy) = self.policy.as_deref() else {
            return Ok(());
        };
        let mut allows = policy.out().into_iter().flatten();
        if policy.out().is_none() || allows.any(|g| g.allows(method, scheme, host, port, path)) {
            return Ok(());
        }
        Err(Outside::Policy(policy))
    }

    /// What would give the guest the secret `name`, for the author's log.
    pub(crate) fn mend_secret(&self, name: &str) -> String {
        match &self.policy {
            Some(policy) if self.withheld.contains(name) => format!(
                "the platform's policy {} leaves it out; its operator would add `secret: {name}` or `bind: {name}=...`",
                policy.name()
            ),
            _ => format!("grant it with --secret {name}=VALUE"),
        }
    }
}

/// Takes out of `secrets` what the policy does not have; the names of those that lost anything.
fn keep(secrets: &mut BTreeMap<String, SecretClaim>, policy: &Policy) -> BTreeSet<String> {
    let mut withheld = BTreeSet::new();
    for (name, secret) in std::mem::take(secrets) {
        let slots = secret.slots.len();
        let kept = policy.keep(&name, secret);
        if kept.as_ref().is_none_or(|kept| kept.slots.len() < slots) {
            withheld.insert(name.clone());
        }
        secrets.extend(kept.map(|kept| (name, kept)));
    }
    withheld
}
