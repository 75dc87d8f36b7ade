//! Ids of requests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Request ids: a random prefix for the process and a counter, so that no two hosts share one.
pub(crate) struct Ids {
    process: String,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let process = getrandom::u32()?;
        Ok(Self {
            process: format!("{process:08x}"),
            next: AtomicU64::new(1),
        })
    }

    /// What all ids of this process begin with.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    pub(crate) fn next(&self) -> String {
        format!(
            "{}-{:06x}",
            self.process,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}
