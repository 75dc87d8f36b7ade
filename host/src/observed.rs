//! What is counted and told of every request of one host.

use crate::{
    logs::Logs,
    metrics::Metrics,
    trace::{Exporter, TraceContext},
};

/// The counts of a host, the lines for authors, and the way to its collector of spans.
pub(crate) struct Observed {
    pub(crate) metrics: Metrics,
    pub(crate) logs: Logs,
    exporter: Option<Exporter>,
}

impl Observed {
    pub(crate) fn new(metrics: Metrics, logs: Logs, exporter: Option<Exporter>) -> Self {
        Self {
            metrics,
            logs,
            exporter,
        }
    }

    /// Whether spans go anywhere.
    pub(crate) fn exports(&self) -> bool {
        self.exporter.is_some()
    }

    /// Where the spans of a trace go, if they do.
    pub(crate) fn exporter(&self, context: &TraceContext) -> Option<&Exporter> {
        self.exporter.as_ref().filter(|_| context.sampled)
    }

    /// Spans that were exported, and dropped.
    pub(crate) fn spans(&self) -> (u64, u64) {
        let exporter = self.exporter.as_ref();
        exporter.map_or((0, 0), |exporter| (exporter.exported(), exporter.dropped()))
    }

    /// Exports what waits. Blocks for `within` at most.
    pub(crate) fn close(&self, within: std::time::Duration) {
        if let Some(exporter) = &self.exporter {
            exporter.close(within);
        }
    }
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").finish_non_exhaustive()
    }
}
