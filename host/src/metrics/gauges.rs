//! What is so when it is asked for, and what stays as it was at the start.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};

use super::labels::Build;

/// What is so at this moment, for the text.
pub(crate) struct Now {
    pub(crate) invocations: u64,
    pub(crate) places: u64,
    pub(crate) cache_entries: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) spans_exported: u64,
    pub(crate) spans_dropped: u64,
}

/// Set when they are asked for.
pub(super) struct Gauges {
    pub(super) invocations: Gauge<u64, AtomicU64>,
    pub(super) places: Gauge<u64, AtomicU64>,
    pub(super) cache_entries: Gauge<u64, AtomicU64>,
    pub(super) cache_bytes: Gauge<u64, AtomicU64>,
    pub(super) spans_exported: Counter,
    pub(super) spans_dropped: Counter,
}

impl Gauges {
    pub(super) fn set(&self, now: &Now) {
        self.invocations.set(now.invocations);
        self.places.set(now.places);
        self.cache_entries.set(now.cache_entries);
        self.cache_bytes.set(now.cache_bytes);
        let set = |counter: &Counter, to| counter.inner().store(to, Ordering::Relaxed);
        set(&self.spans_exported, now.spans_exported);
        set(&self.spans_dropped, now.spans_dropped);
    }

    pub(super) fn register(to: &mut Registry) -> Self {
        let gauges = Self {
            invocations: Gauge::default(),
            places: Gauge::default(),
            cache_entries: Gauge::default(),
            cache_bytes: Gauge::default(),
            spans_exported: Counter::default(),
            spans_dropped: Counter::default(),
        };
        let version = env!("CARGO_PKG_VERSION");
        to.register(
            "build",
            "The version that runs",
            Info::new(Build { version }),
        );
        let started = Gauge::<f64, AtomicU64>::default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        started.set(now.unwrap_or_default().as_secs_f64());
        to.register_with_unit(
            "start_time",
            "When this host started, since 1970",
            Unit::Seconds,
            started,
        );
        to.register(
            "invocations",
            "Invocations that run",
            gauges.invocations.clone(),
        );
        to.register(
            "places",
            "Invocations that may run at the same time, the limit invocations",
            gauges.places.clone(),
        );
        to.register(
            "code_cache_entries",
            "Components that are kept compiled",
            gauges.cache_entries.clone(),
        );
        to.register_with_unit(
            "code_cache",
            "Bytes, before compilation, of components that are kept compiled",
            Unit::Bytes,
            gauges.cache_bytes.clone(),
        );
        to.register(
            "spans_exported",
            "Spans that the collector took",
            gauges.spans_exported.clone(),
        );
        to.register(
            "spans_dropped",
            "Spans that were lost: the queue was full, or the collector took none",
            gauges.spans_dropped.clone(),
        );
        gauges
    }
}
