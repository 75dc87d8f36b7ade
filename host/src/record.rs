//! The access record: one line for each request, when its answer is out or its caller has left. The same is then
//! counted, and becomes the span of the request where spans are exported.

mod author;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use webtask_token::Opened;

use crate::{
    Error, Limit,
    body::Received,
    error::Blame,
    logs::About,
    meter::Spent,
    metrics::Done,
    observed::Observed,
    phases::Phase,
    quota::Quota,
    rights::Rights,
    text::{hex, printable},
    trace::{Served, TraceContext},
};

/// The code of a request whose answer was not read to its end.
const CALLER_LEFT: &str = "caller-left";

/// Bytes of a cause that are kept: an error of the guest's may be of any length.
const CAUSE: usize = 2 << 10;

/// Bytes of a method in the record: no method is longer that means anything here.
const METHOD: usize = 32;

/// What is recorded of one request. Written when dropped, so that no way out is without a record; of requests
/// without a valid token only so many in a second.
///
/// Never in it: URLs, headers, secrets, tokens, anything a guest wrote.
pub(crate) struct Record {
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) started: Instant,
    pub(crate) token_id: String,
    pub(crate) kid: String,
    pub(crate) tenant: String,
    /// The digest of the component, in hexadecimal.
    pub(crate) component: Option<Arc<str>>,
    pub(crate) status: u16,
    pub(crate) sent: u64,
    pub(crate) received: Arc<Received>,
    /// Bytes after which the answer is whole although nobody reads on: a known length, or a HEAD.
    pub(crate) whole_at: Option<u64>,
    code: &'static str,
    blame: Option<Blame>,
    pub(crate) spent: Arc<Spent>,
    /// What must not stand in the record, once it is known.
    rights: Option<Arc<Rights>>,
    /// Whose lines the author's are, once it is known.
    about: Option<Arc<About>>,
    route: &'static str,
    pub(crate) trace: Arc<TraceContext>,
    observed: Arc<Observed>,
    strangers: Arc<Quota>,
    /// Whether its token is good for it.
    pub(crate) admitted: bool,
    /// Whether this request is logged, once that was asked.
    told: Option<bool>,
}

impl Record {
    /// Begins the record of `request`, whose headers name the host's own span from then on.
    pub(crate) fn new<B>(
        request_id: String,
        request: &mut http::Request<B>,
        observed: &Arc<Observed>,
        strangers: Arc<Quota>,
    ) -> Self {
        let trace = TraceContext::take(request.headers_mut(), observed.exports());
        Self {
            request_id,
            method: printable(request.method().as_str(), METHOD),
            route: route(request.uri().path()),
            trace: Arc::new(trace),
            observed: observed.clone(),
            started: Instant::now(),
            token_id: String::new(),
            kid: String::new(),
            tenant: String::new(),
            component: None,
            status: 0,
            sent: 0,
            received: Arc::default(),
            whole_at: None,
            // Whoever drops the record before it is answered left.
            code: CALLER_LEFT,
            blame: Some(Blame::Caller),
            spent: Arc::default(),
            rights: None,
            about: None,
            strangers,
            admitted: false,
            told: None,
        }
    }

    /// Whether lines about this request go to the log: all of a request that its token is good for, and of the
    /// others as many as the quota lets through. A token that is revoked, or called too often, writes no more than
    /// none.
    fn told(&mut self) -> bool {
        if self.admitted {
            return true;
        }
        let strangers = &self.strangers;
        *self.told.get_or_insert_with(|| strangers.take())
    }

    /// Whose token it is.
    pub(crate) fn of(&mut self, opened: &Opened) {
        self.token_id = opened.id.to_string();
        self.kid = opened.kid.to_string();
        self.tenant.clone_from(&opened.claims.tenant);
    }

    /// What its token gives: from here on its author is told how the request ends.
    pub(crate) fn entitled(&mut self, rights: &Arc<Rights>) -> Arc<About> {
        let about = Arc::new(About {
            request_id: self.request_id.as_str().into(),
            token_id: self.token_id.as_str().into(),
            tenant: rights.tenant.clone(),
            links: rights.token.links.as_slice().into(),
            iss: rights.token.iss.as_slice().into(),
        });
        self.rights = Some(rights.clone());
        self.about = Some(about.clone());
        about
    }

    /// Whether all of the answer is out although its end was not seen here: hyper lets a body of known
    /// length go at its last byte.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole_at == Some(self.sent)
    }

    /// The whole answer is out.
    pub(crate) fn answered(&mut self) {
        self.code = "ok";
        self.blame = None;
    }

    /// The request failed; its causes are for the log only.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.code = error.code();
        self.blame = Some(error.blame());
        if let Some(limit) = error.limit() {
            self.spent.hit(limit);
        }
        if !self.told() {
            return;
        }
        self.tell_author(error);
        let (request_id, mut cause) = (&self.request_id, error.chain());
        if let Some(rights) = &self.rights {
            // A cause may quote the guest, which may quote a secret.
            cause = rights.shown(cause.as_bytes(), CAUSE);
        }
        match error.blame() {
            Blame::Host => {
                tracing::error!(%request_id, code = error.code(), cause, "request failed")
            }
            _ => tracing::warn!(%request_id, code = error.code(), cause, "request failed"),
        }
    }
}

/// The path without what a caller chooses.
fn route(path: &str) -> &'static str {
    match path {
        "/v1/logs" => "/v1/logs",
        "/v1/revoke" => "/v1/revoke",
        "/v1/tokens" => "/v1/tokens",
        _ if path.starts_with("/t/") => "/t/{token}/{rest}",
        _ if path.starts_with("/run") => "/run/{rest}",
        _ => "",
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.code == CALLER_LEFT && self.is_whole() {
            self.answered();
        }
        if self.received.too_large.load(Ordering::Relaxed) {
            self.spent.hit(Limit::RequestBytes);
        }
        let took = self.started.elapsed();
        if self.told() {
            self.write(took);
            self.end_for_author(took);
        }
        self.observed.metrics.done(&Done {
            tenant: &self.tenant,
            code: self.code,
            took,
            phases: &self.spent.phases,
            spent: &self.spent,
            received: self.received.bytes.load(Ordering::Relaxed),
            sent: self.sent,
        });
        if self.told()
            && let Some(exporter) = self.observed.exporter(&self.trace)
        {
            exporter.served(&Served {
                context: &self.trace,
                started: self.started,
                method: &self.method,
                route: self.route,
                status: self.status,
                code: self.code,
                request_id: &self.request_id,
                tenant: &self.tenant,
                token_id: &self.token_id,
                digest: self.component.as_deref(),
                phases: &self.spent.phases,
            });
        }
    }
}

impl Record {
    fn write(&self, took: Duration) {
        let us = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let phase = |phase| self.spent.phases.took(phase).map_or(0, us);
        tracing::info!(
            target: "webtask::access",
            request_id = self.request_id,
            token_id = self.token_id,
            kid = self.kid,
            tenant = self.tenant,
            digest = self.component.as_deref(),
            method = self.method,
            status = self.status,
            code = self.code,
            blame = self.blame.map(|blame| format!("{blame:?}").to_lowercase()),
            received = self.received.bytes.load(Ordering::Relaxed),
            sent = self.sent,
            calls = self.spent.calls(),
            out_received = self.spent.out_received(),
            out_sent = self.spent.out_sent(),
            memory = self.spent.memory(),
            cpu_us = self.spent.cpu_us(),
            limits = self.spent.limits(),
            wall_us = us(took),
            open_us = phase(Phase::Open),
            load_us = phase(Phase::Load),
            instantiate_us = phase(Phase::Instantiate),
            run_us = phase(Phase::Run),
            trace_id = %hex(&self.trace.trace_id.to_bytes()),
        );
    }
}
