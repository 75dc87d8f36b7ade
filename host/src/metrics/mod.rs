//! What is counted, as OpenMetrics text. Owns the names and the bound of every set of labels.
//!
//! A label is one of an enum's names, or a tenant; of tenants there are a hundred at most, for anybody with an
//! issuer's token can have tokens of a tenant, and the others are counted together. Never a token, URL or id.

mod gauges;
mod labels;

use std::{sync::atomic::AtomicU64, time::Duration};

use gauges::Gauges;
pub(crate) use gauges::Now;
use labels::{Failure, Limit, Lookup, OfPhase, Refusal, Request, Tenant, Tenants};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    loader::LoadError,
    meter::Spent,
    phases::{Phase, Phases},
};

/// Upper bounds of durations, in seconds: a refusal takes microseconds, the longest run a deadline.
const SECONDS: [f64; 18] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0, 30.0,
];

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
        self.now.set(now);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// An open connection.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
