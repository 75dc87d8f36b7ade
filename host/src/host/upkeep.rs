//! What is done with a host beside its requests.

use std::{sync::Arc, time::Duration};

use webtask_token::{Keyring, LinkId};

use super::{Host, wanted};
use crate::{
    Error, Limits,
    loader::{Asker, Loads, Wanted},
    metrics::{Connected, Now},
    rights::Rights,
};

impl Host {
    /// The counts of this host as OpenMetrics text, for
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    #[must_use]
    pub fn metrics(&self) -> String {
        let places = u64::from(self.limits.invocations);
        let (cache_entries, cache_bytes) = self.loader.kept();
        let (spans_exported, spans_dropped) = self.observed.spans();
        self.observed.metrics.text(&Now {
            invocations: u64::from(self.places.taken()),
            places,
            cache_entries,
            cache_bytes,
            spans_exported,
            spans_dropped,
        })
    }

    /// Exports the spans that wait, within `limit`, and takes no more: for the end of a process.
    pub async fn flush(self: Arc<Self>, limit: Duration) {
        // The library waits on a thread.
        let _ = tokio::task::spawn_blocking(move || self.observed.close(limit)).await;
    }

    /// Counts a caller's connection until what it returns is dropped.
    pub(crate) fn connected(&self) -> Connected {
        self.observed.metrics.connected()
    }

    /// The numbers in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Has the code of `token` fetched and compiled before its first request, which then waits for neither.
    ///
    /// # Errors
    /// Those that a request with this token would meet before it runs, whatever it asks for.
    pub async fn prepare(&self, token: &str) -> Result<(), Error> {
        let opened = self.gate.open(token)?;
        self.gate.unrevoked(&opened)?;
        let (tenant, ceiling) = self.gate.ceiling(&opened)?;
        let rights = Rights::of(opened, tenant, ceiling)?;
        let webtask = self.loader.load(&wanted(&rights)).await?;
        rights.meet(&webtask.needs)
    }

    /// Loads the code at `url` as for a request of `tenant`, and gives its SHA-256: it is in memory then, and with a
    /// cache directory on disk as well.
    ///
    /// # Errors
    /// As for a request: where code may come from, the limits and the policies are the same.
    pub async fn warm(
        &self,
        url: &str,
        sha256: Option<[u8; 32]>,
        tenant: &str,
    ) -> Result<[u8; 32], Error> {
        let (tenant, ceiling) = self.gate.ceiling_of(tenant)?;
        let by = Asker {
            tenant,
            // Of no token.
            root: LinkId::from([0; 16]),
            ceiling,
        };
        let webtask = self.loader.load(&Wanted { url, sha256, by }).await?;
        Ok(webtask.digest)
    }

    /// Whether the native code of the component with this SHA-256 is in the cache directory.
    #[must_use]
    pub fn is_on_disk(&self, sha256: &[u8; 32]) -> bool {
        self.loader.is_on_disk(sha256)
    }

    /// How components came into memory since the start.
    #[must_use]
    pub fn loads(&self) -> Loads {
        self.loader.loads()
    }

    /// Takes `keyring` for all requests from now on; what is under way goes on with the old one.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.gate.replace_keyring(keyring);
    }

    /// Ends the live logs, which would hold up the end of the server.
    pub(crate) fn end_logs(&self) {
        self.observed.logs.end();
    }

    /// Ready once no invocation runs, also of those whose response is out.
    pub(crate) async fn idle(&self) {
        self.places.idle().await;
    }

    /// Gives back the memory of code that is not kept any more.
    pub(crate) async fn tidy(&self) {
        self.loader.tidy().await;
    }
}
