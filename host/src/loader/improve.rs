//! Better code in the place of a draft: compiled once more, behind everything else. Must not know requests.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;

use super::{Asker, Loader};
use crate::{compile::Effort, runtime::Webtask, text::hex};

impl Loader {
    /// Has the code of `webtask` compiled well if it is a draft, and nobody is at it. Whoever is under way goes
    /// on with the draft.
    pub(super) fn improve(&self, webtask: &Arc<Webtask>, by: &Asker) {
        if webtask.draft.as_ref().is_some_and(super::Draft::begin) {
            let (loader, webtask, by) = (self.clone(), webtask.clone(), by.clone());
            self.improving
                .spawn(async move { loader.improved(&webtask, &by).await });
        }
    }

    async fn improved(&self, webtask: &Webtask, by: &Asker) {
        let Some(draft) = &webtask.draft else { return };
        let compilers = &self.worker.compilers;
        let Ok(place) = compilers.place_later(&by.asking(u32::MAX)).await else {
            // For the next who wants it.
            draft.give_up();
            return;
        };
        let started = Instant::now();
        let (wasm, digest) = (draft.wasm.clone(), webtask.digest);
        let lines = Some(webtask.lines.clone());
        let made = self
            .worker
            .make(wasm, digest, Effort::Later, place, lines)
            .await;
        match made {
            Ok(better) => {
                tracing::info!(digest = hex(&digest), compiled = better.size, took = ?started.elapsed(), "compiled well");
                self.compiled.insert(digest, Arc::new(better)).await;
                self.worker.improved.fetch_add(1, Ordering::Relaxed);
            }
            // Each try costs all that the limits allow: there is none but this.
            Err(error) => {
                tracing::warn!(
                    digest = hex(&digest),
                    ?error,
                    "code that was compiled quickly stays"
                );
            }
        }
    }

    /// Ready once nothing is compiled any more that nobody waits for.
    pub(crate) async fn idle(&self) {
        self.improving.close();
        self.improving.wait().await;
    }
}
