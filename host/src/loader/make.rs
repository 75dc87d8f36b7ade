//! From the bytes of a component, or from its native code on disk, to a webtask. Must not know origins.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use super::{LoadError, Source, Worker, not_a_component};
use crate::{
    admission::Place, audit::Policy, compile::Analysis, lines::Lines, runtime::Webtask, text::hex,
};

impl Worker {
    pub(super) async fn compile(
        &self,
        source: &Source,
        bytes: Bytes,
        digest: [u8; 32],
        place: Place,
    ) -> Result<Arc<Webtask>, LoadError> {
        let invalid = |reason| LoadError::Invalid {
            url: source.shown(),
            reason,
        };
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
            .compile(bytes.clone(), digest, place, Box::new(objection));
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
    pub(super) async fn kept(&self, digest: [u8; 32]) -> Option<Arc<Webtask>> {
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
