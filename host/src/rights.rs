//! `Rights`: what one request may do, as claims ∩ caveats ∩ platform. Computed once, here.

use std::collections::{BTreeMap, BTreeSet};

use webtask_token::{Kind, Opened, SecretClaim};

use crate::{Error, Limits};

/// The one value that the rest of the host reads.
pub(crate) struct Rights {
    /// Claims less caveats.
    pub(crate) token: webtask_token::Rights,
    pub(crate) secrets: BTreeMap<String, SecretClaim>,
    pub(crate) url: String,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) via: Vec<webtask_token::Carrier>,
    /// The platform's, lowered by the token.
    pub(crate) limits: Limits,
}

impl Rights {
    /// # Errors
    /// An issuer token has no rights of its own: it mints tokens, and never runs.
    pub(crate) fn of(opened: Opened, platform: &Limits) -> Result<Self, Error> {
        if !matches!(opened.claims.kind, Kind::Run) {
            let text = "an issuer token does not run; mint one with it at /v1/tokens";
            return Err(Error::Denied(text.into()));
        }
        let token = opened.rights();
        Ok(Self {
            limits: platform.lowered(&token.lim),
            token,
            secrets: opened.claims.secrets,
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
        let missing: Vec<String> = missing.cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::SecretMissing(missing))
    }
}
