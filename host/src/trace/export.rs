//! The export of spans: a bounded queue, a thread that sends batches, and a count of what was dropped.
//!
//! The library batches, encodes and tries again; what it does not tell, how many spans were lost, is counted here.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _},
};
use tokio::runtime::Handle;

use super::collector::{Cause, Collector};
use crate::{
    egress::{Egress, Target},
    text::printable,
};

/// Where spans go: an OTLP collector, over HTTP with protobuf.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Traces {
    /// The whole URL, `http` or `https`, such as `http://127.0.0.1:4318/v1/traces`. The operator's own: the filter
    /// of addresses does not apply to it.
    pub endpoint: String,
    /// `service.name` of the spans.
    pub service: String,
    /// Time for one batch. Default 10 s.
    pub timeout: Duration,
    /// Spans that wait for the collector; what is more is dropped and counted. Default 4,096.
    pub queue: usize,
}

impl Traces {
    /// Spans to `endpoint`, as the service `webtask`.
    #[must_use]
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            service: "webtask".to_owned(),
            timeout: Duration::from_secs(10),
            queue: 4_096,
        }
    }
}

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The endpoint is not one.
    #[error(
        "{0} is no endpoint for spans; write a URL such as http://127.0.0.1:4318, with the user in OTEL_EXPORTER_OTLP_HEADERS"
    )]
    Endpoint(String),
    /// The library does not take the settings.
    #[error("the exporter of spans cannot start")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is no runtime to send with.
    #[error("spans are exported from within a runtime only")]
    Runtime,
}

/// Takes spans and never waits.
pub(crate) struct Exporter {
    processor: BatchSpanProcessor,
    pub(super) scope: InstrumentationScope,
    queue: usize,
    closed: AtomicBool,
    counts: Arc<Counts>,
}

/// What became of spans.
#[derive(Debug, Default)]
struct Counts {
    /// In the queue, or under way.
    held: AtomicUsize,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Exporter {
    /// Starts one thread.
    pub(crate) fn new(traces: &Traces, egress: Arc<Egress>) -> Result<Self, TraceError> {
        let failed =
            |error: opentelemetry_otlp::ExporterBuildError| TraceError::Exporter(Box::new(error));
        let uri = traces.endpoint.parse();
        if !uri.is_ok_and(|uri| Target::of(&uri).is_ok()) {
            // Shown without a user, which may have a password.
            let shown = traces.endpoint.rsplit('@').next().unwrap_or_default();
            return Err(TraceError::Endpoint(printable(shown, 256)));
        }
        let cause = Cause::default();
        let collector = Collector {
            egress,
            runtime: Handle::try_current().map_err(|_| TraceError::Runtime)?,
            limit: traces.timeout,
            cause: cause.clone(),
        };
        let inner = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&traces.endpoint)
            .with_timeout(traces.timeout)
            .build()
            .map_err(failed)?;
        let counts = Arc::new(Counts::default());
        let counted = Counted {
            inner,
            counts: counts.clone(),
            cause,
            failing: AtomicBool::new(false),
        };
        // One more than are let in: the library never drops one uncounted.
        let batches =
            BatchConfigBuilder::default().with_max_queue_size(traces.queue.saturating_add(1));
        let mut processor = BatchSpanProcessor::new(counted, batches.build());
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource::builder()
            .with_service_name(traces.service.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.version", version));
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("webtask").with_version(version);
        Ok(Self {
            processor,
            scope: scope.build(),
            queue: traces.queue,
            closed: AtomicBool::new(false),
            counts,
        })
    }

    pub(super) fn push(&self, span: SpanData) {
        let full = self.counts.held.fetch_add(1, Ordering::AcqRel) >= self.queue;
        if full || self.closed.load(Ordering::Acquire) {
            self.counts.held.fetch_sub(1, Ordering::AcqRel);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.processor.on_end(span);
    }

    /// Sends what waits, for `within` at most, and takes no more. Blocks.
    pub(crate) fn close(&self, within: Duration) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        // What failed is counted and told already; what is left here is lost with the process.
        if self.processor.shutdown_with_timeout(within).is_err() {
            let spans = self.counts.held.load(Ordering::Acquire);
            tracing::warn!(spans, ?within, "spans were not exported in time; leaving");
        }
    }

    /// Spans that a collector took.
    pub(crate) fn exported(&self) -> u64 {
        self.counts.exported.load(Ordering::Relaxed)
    }

    /// Spans that were lost: the queue was full, or the collector did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }
}

/// The library's exporter, and what became of its batches.
#[derive(Debug)]
struct Counted {
    inner: opentelemetry_otlp::SpanExporter,
    counts: Arc<Counts>,
    cause: Cause,
    failing: AtomicBool,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        let failed = result.is_err();
        let count = if failed {
            &self.counts.dropped
        } else {
            &self.counts.exported
        };
        count.fetch_add(spans as u64, Ordering::Relaxed);
        self.counts.held.fetch_sub(spans, Ordering::AcqRel);
        // Told when it changes, and not for each batch.
        match (self.failing.swap(failed, Ordering::Relaxed), failed) {
            (false, true) => {
                let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
                let cause = printable(&cause, 512);
                tracing::warn!(
                    spans,
                    cause,
                    "the collector of spans takes none; they are dropped and counted"
                );
            }
            (true, false) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
