//! From the bytes of a component, or from its native code on disk, to a webtask. Must not know origins.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use super::{LoadError, Source, Worker, not_a_component};
use crate::{
    admission::Place,
    audit::Policy,
    compile::{Analysis, CompileError, Effort},
    lines::Lines,
    runtime::Webtask,
    text::hex,
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
        let first = self.compilers.first();
        let mut made = self.make(bytes.clone(), digest, first, place, None).await;
        if first == Effort::Quick && matches!(made, Err(CompileError::TooLarge(_))) {
            // Good code is half as large.
            let asking = source.by.asking(self.compilers.of_tenant());
            made = match self.compilers.place(&asking).await {
                Ok(place) => self.make(bytes, digest, Effort::Best, place, None).await,
                Err(error) => Err(error),
            };
        }
        let webtask = made.map_err(|error| LoadError::of_compiling(error, source.shown()))?;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        tracing::info!(url = source.shown(), digest = hex(&digest), size, compiled = webtask.size, took = ?started.elapsed(), "compiled");
        Ok(Arc::new(webtask))
    }

    /// Compiles and links, away from the threads of requests. Reads the source lines, unless they are known.
    pub(super) async fn make(
        &self,
        wasm: Bytes,
        digest: [u8; 32],
        effort: Effort,
        place: Place,
        lines: Option<Arc<Lines>>,
    ) -> Result<Webtask, CompileError> {
        let policy = self.policy.clone();
        // Before the compiler takes its time, and after it has read what is hostile.
        let objection = move |analysis: &Analysis| objection(policy.as_deref(), analysis);
        let objection = Box::new(objection);
        let compiled = self
            .compilers
            .compile(wasm.clone(), digest, effort, place, objection)
            .await?;
        let (runtime, most) = (self.runtime.clone(), self.limits.debug_bytes);
        let link = move || {
            let lines = lines.unwrap_or_else(|| Arc::new(Lines::of(&wasm, most)));
            let webtask = runtime.link(compiled, digest, lines)?;
            Ok(match effort {
                Effort::Quick => webtask.of_draft(wasm),
                Effort::Best | Effort::Later => webtask,
            })
        };
        let linked: wasmtime::Result<_> = match tokio::task::spawn_blocking(link).await {
            Ok(linked) => linked,
            Err(panic) => Err(wasmtime::format_err!("it cannot be linked: {panic}")),
        };
        linked.map_err(|error| CompileError::Invalid(format!("{error:#}")))
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
            let linked = runtime.link(compiled, digest, Arc::default());
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
