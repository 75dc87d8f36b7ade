//! What is counted, as OpenMetrics text. Owns the names and the bound of every set of labels.
//!
//! A label is one of an enum's names, or a tenant; of tenants there are [`TENANTS`] at most, for anybody with an
//! issuer's token can have tokens of a tenant, and the others are counted together. Never a token, URL or id.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{
    loader::LoadError,
    meter::Spent,
    phases::{Phase, Phases},
};

/// Tenants with a label of their own, in one process; those of the configuration first.
pub(crate) const TENANTS: usize = 100;
/// The label of all others. A tenant of that name is counted with them.
const OTHER: &str = "other";

/// Upper bounds of durations, in seconds: a refusal takes microseconds, the longest run a deadline.
const SECONDS: [f64; 18] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Request {
    tenant: Arc<str>,
    code: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Tenant {
    tenant: Arc<str>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OfPhase {
    phase: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Limit {
    limit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Lookup {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Failure {
    stage: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Refusal {
    reason: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Build {
    version: &'static str,
}

/// A request that is over.
pub(crate) struct Done<'a> {
    /// Empty for a request without a token that is ours.
    pub(crate) tenant: &'a str,
    pub(crate) code: &'static str,
    pub(crate) took: Duration,
    pub(crate) phases: &'a Phases,
    pub(crate) spent: &'a Spent,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// What is so at this moment, for the text.
pub(crate) struct Now {
    pub(crate) invocations: u64,
    pub(crate) places: u64,
    pub(crate) cache_entries: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) spans_exported: u64,
    pub(crate) spans_dropped: u64,
}

/// The counts of one host.
pub(crate) struct Metrics {
    registry: Registry,
    tenants: Tenants,
    requests: Family<Request, Counter>,
    request_seconds: Histogram,
    phase_seconds: [Histogram; 4],
    received: Counter,
    sent: Counter,
    cpu: Family<Tenant, Counter<f64, AtomicU64>>,
    memory: Histogram,
    limits: Family<Limit, Counter>,
    lookups: Family<Lookup, Counter>,
    fetch_seconds: Histogram,
    compile_seconds: Histogram,
    code_failures: Family<Failure, Counter>,
    calls: Counter,
    call_failures: Family<Refusal, Counter>,
    out_sent: Counter,
    out_received: Counter,
    connections: Gauge,
    now: Gauges,
}

/// Set when they are asked for.
struct Gauges {
    invocations: Gauge<u64, AtomicU64>,
    places: Gauge<u64, AtomicU64>,
    cache_entries: Gauge<u64, AtomicU64>,
    cache_bytes: Gauge<u64, AtomicU64>,
    spans_exported: Counter,
    spans_dropped: Counter,
}

impl Metrics {
    /// `known` are the tenants of the configuration, which always have a label of their own.
    pub(crate) fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut to = Registry::with_prefix("webtask");
        let seconds = || Histogram::new(SECONDS);
        let phases: Family<OfPhase, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let metrics = Self {
            tenants: Tenants::new(known),
            requests: Family::default(),
            request_seconds: seconds(),
            phase_seconds: Phase::ALL.map(|phase| {
                let phase = phase.name();
                phases.get_or_create_owned(&OfPhase { phase })
            }),
            received: Counter::default(),
            sent: Counter::default(),
            cpu: Family::default(),
            // From 1 MiB to 1 GiB.
            memory: Histogram::new(exponential_buckets(f64::from(1 << 20), 2.0, 11)),
            limits: Family::default(),
            lookups: Family::default(),
            fetch_seconds: seconds(),
            compile_seconds: seconds(),
            code_failures: Family::default(),
            calls: Counter::default(),
            call_failures: Family::default(),
            out_sent: Counter::default(),
            out_received: Counter::default(),
            connections: Gauge::default(),
            now: Gauges::register(&mut to),
            registry: Registry::default(),
        };
        to.register_with_unit(
            "phase_duration",
            "Parts of a request: open the token, load the code, instantiate it, run it",
            Unit::Seconds,
            phases,
        );
        metrics.register_requests(&mut to);
        metrics.register_code(&mut to);
        metrics.register_calls(&mut to);
        Self {
            registry: to,
            ..metrics
        }
    }

    fn register_requests(&self, to: &mut Registry) {
        to.register(
            "requests",
            "Requests, by the tenant of their token and the code of their end",
            self.requests.clone(),
        );
        to.register_with_unit(
            "request_duration",
            "From the head of a request to the end of its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        to.register_with_unit(
            "received",
            "Bytes of the bodies of requests",
            Unit::Bytes,
            self.received.clone(),
        );
        to.register_with_unit(
            "sent",
            "Bytes of the bodies of answers",
            Unit::Bytes,
            self.sent.clone(),
        );
        to.register_with_unit(
            "guest_cpu",
            "CPU time of invocations",
            Unit::Seconds,
            self.cpu.clone(),
        );
        to.register_with_unit(
            "guest_memory",
            "The most linear memory of an invocation",
            Unit::Bytes,
            self.memory.clone(),
        );
        to.register(
            "limits_hit",
            "How often a limit was reached",
            self.limits.clone(),
        );
        to.register(
            "connections",
            "Connections of callers that are open",
            self.connections.clone(),
        );
    }

    fn register_code(&self, to: &mut Registry) {
        to.register(
            "code_cache_lookups",
            "Whether a component was compiled already",
            self.lookups.clone(),
        );
        to.register_with_unit(
            "code_fetch_duration",
            "To fetch a component",
            Unit::Seconds,
            self.fetch_seconds.clone(),
        );
        to.register_with_unit(
            "code_compile_duration",
            "To compile a component",
            Unit::Seconds,
            self.compile_seconds.clone(),
        );
        to.register(
            "code_failures",
            "Components that were not fetched or not compiled",
            self.code_failures.clone(),
        );
    }

    fn register_calls(&self, to: &mut Registry) {
        to.register(
            "outbound_calls",
            "Outbound calls of webtasks, refused ones included",
            self.calls.clone(),
        );
        to.register(
            "outbound_failures",
            "Outbound calls that were refused, failed or were cut, by the reason in the log",
            self.call_failures.clone(),
        );
        to.register_with_unit(
            "outbound_sent",
            "Bytes of the bodies of outbound requests",
            Unit::Bytes,
            self.out_sent.clone(),
        );
        to.register_with_unit(
            "outbound_received",
            "Bytes of the bodies of outbound responses",
            Unit::Bytes,
            self.out_received.clone(),
        );
    }

    /// Counts a request.
    pub(crate) fn done(&self, done: &Done<'_>) {
        let tenant = self.tenants.label(done.tenant);
        let code = done.code;
        self.request_seconds.observe(done.took.as_secs_f64());
        for (phase, histogram) in Phase::ALL.into_iter().zip(&self.phase_seconds) {
            if let Some(took) = done.phases.took(phase) {
                histogram.observe(took.as_secs_f64());
            }
        }
        for limit in done.spent.hits() {
            let limit = limit.name();
            self.limits.get_or_create(&Limit { limit }).inc();
        }
        self.received.inc_by(done.received);
        self.sent.inc_by(done.sent);
        let spent = done.spent;
        if done.phases.span(Phase::Instantiate).is_some() {
            let seconds = Duration::from_micros(spent.cpu_us()).as_secs_f64();
            let label = Tenant {
                tenant: tenant.clone(),
            };
            self.cpu.get_or_create(&label).inc_by(seconds);
            self.memory.observe(spent.memory() as f64);
            self.calls.inc_by(spent.calls());
            self.out_sent.inc_by(spent.out_sent());
            self.out_received.inc_by(spent.out_received());
        }
        self.requests.get_or_create(&Request { tenant, code }).inc();
    }

    /// Counts an outbound call that was refused or failed.
    pub(crate) fn call_failed(&self, reason: &'static str) {
        self.call_failures.get_or_create(&Refusal { reason }).inc();
    }

    /// Counts whether code was there already.
    pub(crate) fn looked_up(&self, there: bool) {
        let result = if there { "hit" } else { "miss" };
        self.lookups.get_or_create(&Lookup { result }).inc();
    }

    /// Counts a component that was fetched, or not.
    pub(crate) fn fetched(&self, took: Duration, error: Option<&LoadError>) {
        self.fetch_seconds.observe(took.as_secs_f64());
        self.code_failed("fetch", error);
    }

    /// Counts a component that was compiled, or not.
    pub(crate) fn compiled(&self, took: Duration, error: Option<&LoadError>) {
        self.compile_seconds.observe(took.as_secs_f64());
        self.code_failed("compile", error);
    }

    fn code_failed(&self, stage: &'static str, error: Option<&LoadError>) {
        if let Some(error) = error {
            let cause = error.name();
            self.code_failures
                .get_or_create(&Failure { stage, cause })
                .inc();
        }
    }

    /// Counts a connection until what it returns is dropped.
    pub(crate) fn connected(&self) -> Connected {
        self.connections.inc();
        Connected(self.connections.clone())
    }

    /// All of it.
    pub(crate) fn text(&self, now: &Now) -> String {
        let gauges = &self.now;
        gauges.invocations.set(now.invocations);
        gauges.places.set(now.places);
        gauges.cache_entries.set(now.cache_entries);
        gauges.cache_bytes.set(now.cache_bytes);
        let set = |counter: &Counter, to| counter.inner().store(to, Ordering::Relaxed);
        set(&gauges.spans_exported, now.spans_exported);
        set(&gauges.spans_dropped, now.spans_dropped);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Gauges {
    fn register(to: &mut Registry) -> Self {
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

/// An open connection.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The labels of tenants, bounded.
struct Tenants {
    labels: RwLock<HashMap<Arc<str>, Arc<str>>>,
    other: Arc<str>,
}

impl Tenants {
    fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().take(TENANTS).map(Arc::<str>::from);
        Self {
            labels: RwLock::new(known.map(|name| (name.clone(), name)).collect()),
            other: OTHER.into(),
        }
    }

    fn label(&self, tenant: &str) -> Arc<str> {
        {
            let labels = self.labels.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(label) = labels.get(tenant) {
                return label.clone();
            }
            if labels.len() >= TENANTS {
                return self.other.clone();
            }
        }
        let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
        if labels.len() >= TENANTS && !labels.contains_key(tenant) {
            return self.other.clone();
        }
        let name = Arc::<str>::from(tenant);
        labels.entry(name.clone()).or_insert(name).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Now {
        Now {
            invocations: 1,
            places: 2,
            cache_entries: 3,
            cache_bytes: 4,
            spans_exported: 5,
            spans_dropped: 6,
        }
    }

    fn request(metrics: &Metrics, tenant: &str, code: &'static str) {
        metrics.done(&Done {
            tenant,
            code,
            took: Duration::from_millis(3),
            phases: &Phases::default(),
            spent: &Spent::default(),
            received: 7,
            sent: 8,
        });
    }

    #[test]
    fn tenants_are_labels_up_to_a_number_and_those_of_the_configuration_first() {
        let metrics = Metrics::new(["known"]);
        for number in 0..1_000 {
            request(&metrics, &format!("t{number}"), "ok");
        }
        request(&metrics, "known", "ok");
        request(&metrics, "t0", "ok");
        let text = metrics.text(&now());
        let mut labels: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("webtask_requests_total"))
            .collect();
        labels.sort_unstable();
        assert_eq!(labels.len(), TENANTS + 1, "{labels:#?}");
        let has = |line: &str| assert!(labels.contains(&line), "{line}: {labels:#?}");
        has(r#"webtask_requests_total{tenant="known",code="ok"} 1"#);
        has(r#"webtask_requests_total{tenant="t0",code="ok"} 2"#);
        has(&format!(
            r#"webtask_requests_total{{tenant="other",code="ok"}} {}"#,
            1_000 - (TENANTS - 1)
        ));
    }

    /// Prints what a request costs here: `cargo test --release -p webtask-host --lib -- costs_little --nocapture`.
    #[test]
    fn counting_a_request_costs_little() {
        const EACH: u32 = 20_000;
        let metrics = Metrics::new([]);
        let phases = Phases::default();
        Phase::ALL.into_iter().for_each(|phase| phases.begin(phase));
        phases.end();
        let spent = Spent::default();
        let count = || {
            for _ in 0..EACH {
                metrics.done(&Done {
                    tenant: "acme",
                    code: "ok",
                    took: Duration::from_millis(3),
                    phases: &phases,
                    spent: &spent,
                    received: 7,
                    sent: 8,
                });
            }
        };
        let each = |threads: u32| {
            let started = std::time::Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(count);
                }
            });
            started.elapsed() / EACH
        };
        let (one, four) = (each(1), each(4));
        println!("a request is counted in {one:?}; by four threads at once, {four:?} for four");
        // Far above what it is, for a build without optimisation on a busy machine.
        assert!(one < Duration::from_micros(500), "{one:?}");
    }
}
