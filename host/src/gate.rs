//! The door: which tokens are good now, and which requests they are good for.
//!
//! Everything here happens before a place is taken and before anything is loaded.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, Request, header};
use tokio::time::Instant;
use webtask_token::{Denied, Keyring, Opened};

use crate::{
    Error, Revocations,
    carrier::Carrier,
    rate::Rates,
    revocations::{Revocation, RevocationError},
    rights::Rights,
    tenant::{Ceiling, Ceilings},
};

/// Calls to revoke in a minute with one token. Each waits for the disk.
const REVOKING: u64 = 600;

/// Live logs begun in a minute with one token and what was made from it. Each is a walk through a history.
const READING: u64 = 120;

/// Keys, revocations, tenants and rates.
pub(crate) struct Gate {
    keyring: RwLock<Arc<Keyring>>,
    revocations: Arc<Revocations>,
    tenants: Ceilings,
    rates: Rates,
    /// Calls to revoke, by the token that is presented.
    revoking: Rates,
    /// Live logs that are begun, by the root of the token.
    reading: Rates,
}

impl Gate {
    pub(crate) fn new(keyring: Keyring, revocations: Revocations, tenants: Ceilings) -> Self {
        Self {
            keyring: RwLock::new(Arc::new(keyring)),
            revocations: Arc::new(revocations),
            tenants,
            rates: Rates::new(),
            revoking: Rates::new(),
            reading: Rates::new(),
        }
    }

    /// The keys in force; requests under way keep the ones they began with.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        self.keyring
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn replace_keyring(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keyring);
    }

    /// Opens `token`, which may be revoked.
    pub(crate) fn open(&self, token: &str) -> Result<Opened, Error> {
        Ok(self.keyring().open(token, now())?)
    }

    /// Whether the token, or one that it comes from, was revoked.
    pub(crate) fn unrevoked(&self, opened: &Opened) -> Result<(), Error> {
        let links = opened.links.iter().chain(&opened.claims.iss);
        if self
            .revocations
            .is_revoked(links, &opened.claims.tenant, opened.claims.iat)
        {
            return Err(Error::Revoked);
        }
        Ok(())
    }

    /// The name and the ceiling of the token's tenant, if it is one that is served.
    pub(crate) fn ceiling(&self, opened: &Opened) -> Result<(Arc<str>, Arc<Ceiling>), Error> {
        self.ceiling_of(&opened.claims.tenant)
    }

    /// The same for the tenant's name alone.
    pub(crate) fn ceiling_of(&self, tenant: &str) -> Result<(Arc<str>, Arc<Ceiling>), Error> {
        self.tenants.of(tenant).ok_or_else(|| {
            Error::Denied(format!(
                "the tenant {tenant} is not in the configuration, which refuses unknown tenants; its operator would add [tenants.{tenant}]"
            ))
        })
    }

    /// Whether `rights` are good for this request: where the token stood, from where, what, how often.
    pub(crate) fn admit<B>(
        &self,
        rights: &Rights,
        carrier: Carrier,
        request: &Request<B>,
    ) -> Result<(), Error> {
        if carrier == Carrier::Path && !rights.via.contains(&webtask_token::Carrier::Path) {
            return Err(Error::Denied(
                "the token may not stand in a URL; mint one with --via path".into(),
            ));
        }
        rights
            .token
            .allows_request(request.method().as_str(), request.uri().path())
            .map_err(|denied| match denied {
                Denied::Path => Error::PathDenied,
                _ => Error::MethodDenied,
            })?;
        self.check_origin(&rights.token, request.headers())?;
        self.count(&rights.ceiling, &rights.token)
    }

    /// Whether the token may be used by the page that sends this.
    pub(crate) fn check_origin(
        &self,
        token: &webtask_token::Rights,
        headers: &HeaderMap,
    ) -> Result<(), Error> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (origin, second) = (origins.next().map(HeaderValue::to_str), origins.next());
        // Two origins, or one that is no text, are none that a token names.
        let origin = origin.and_then(Result::ok).filter(|_| second.is_none());
        let allowed = token.allows_origin(origin);
        allowed.then_some(()).ok_or(Error::OriginDenied)
    }

    /// Counts a call against the rates of the token, of those that it comes from, and then of its tenant: what
    /// a token has no call for takes none from others.
    pub(crate) fn count(
        &self,
        ceiling: &Ceiling,
        rights: &webtask_token::Rights,
    ) -> Result<(), Error> {
        self.count_token(rights)?;
        let taken = ceiling.count();
        taken.map_err(|retry_after| Error::TenantRateLimited { retry_after })
    }

    fn count_token(&self, rights: &webtask_token::Rights) -> Result<(), Error> {
        if rights.rates.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        for (link, per_minute) in &rights.rates {
            let taken = self.rates.take(*link, *per_minute, now);
            taken.map_err(|retry_after| Error::RateLimited { retry_after })?;
        }
        Ok(())
    }

    /// The same for a call of the host's own interface, which refused tenants may make to end their tokens.
    pub(crate) fn count_opened(&self, opened: &Opened) -> Result<(), Error> {
        let rights = opened.rights();
        match self.ceiling(opened) {
            Ok((_, ceiling)) => self.count(&ceiling, &rights),
            Err(_) => self.count_token(&rights),
        }
    }

    /// Counts a call to revoke with this token, for itself.
    pub(crate) fn count_revoking(&self, opened: &Opened) -> Result<(), Error> {
        let taken = self.revoking.take(opened.id, REVOKING, Instant::now());
        taken.map_err(|retry_after| Error::RateLimited { retry_after })
    }

    /// Counts a live log that is begun, for itself: whoever watches a webtask uses up none of its calls.
    pub(crate) fn count_reading(&self, opened: &Opened) -> Result<(), Error> {
        let root = opened.links.first().copied().unwrap_or(opened.id);
        let taken = self.reading.take(root, READING, Instant::now());
        taken.map_err(|retry_after| Error::RateLimited { retry_after })
    }

    /// Revokes a link for good; it is in force when this returns.
    pub(crate) async fn revoke(&self, entry: Revocation) -> Result<(), Error> {
        self.change(move |revocations| revocations.revoke(&entry, now()))
            .await
    }

    /// Revokes what `tenant` was issued before `before`, in Unix seconds.
    pub(crate) async fn cut_off(&self, tenant: String, before: u64) -> Result<(), Error> {
        self.change(move |revocations| revocations.cut_off(&tenant, before))
            .await
    }

    /// The store waits for the disk: not on a request's thread.
    async fn change(
        &self,
        change: impl FnOnce(&Revocations) -> Result<(), RevocationError> + Send + 'static,
    ) -> Result<(), Error> {
        let revocations = self.revocations.clone();
        match tokio::task::spawn_blocking(move || change(&revocations)).await {
            Ok(changed) => Ok(changed?),
            Err(error) => Err(Error::Internal(error.to_string())),
        }
    }
}

/// Unix seconds; a clock before 1970 reads as 0, at which no token is valid yet.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
