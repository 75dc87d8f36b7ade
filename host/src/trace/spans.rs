//! What a span says. Each attribute is chosen here; there is none of a URL, a path, a query or a header.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use tokio::time::Instant;

use super::{Exporter, TraceContext};
use crate::{
    egress::Target,
    observed::Observed,
    phases::{Phase, Phases},
};

/// A request that is over, for its span.
pub(crate) struct Served<'a> {
    pub(crate) context: &'a TraceContext,
    pub(crate) started: Instant,
    pub(crate) method: &'a str,
    pub(crate) route: &'static str,
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) request_id: &'a str,
    pub(crate) tenant: &'a str,
    pub(crate) token_id: &'a str,
    pub(crate) digest: Option<&'a str>,
    pub(crate) phases: &'a Phases,
}

impl Exporter {
    /// The span of a request, and one for each of its parts.
    pub(crate) fn served(&self, served: &Served<'_>) {
        let context = served.context;
        let (now, at) = (Instant::now(), SystemTime::now());
        let when = |instant: Instant| {
            at.checked_sub(now.saturating_duration_since(instant))
                .unwrap_or(at)
        };
        for phase in Phase::ALL {
            let Some((begun, ended)) = served.phases.span(phase) else {
                continue;
            };
            let span = Span {
                id: context.new_span(),
                parent: Some(context.span_id),
                kind: SpanKind::Internal,
                name: phase.name().into(),
                start: when(begun),
                end: when(ended),
                attributes: Vec::new(),
                failed: false,
            };
            self.push(self.data(context, span));
        }
        let method = known(served.method);
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.response.status_code", i64::from(served.status)),
            KeyValue::new("webtask.code", served.code),
            KeyValue::new("webtask.request_id", served.request_id.to_owned()),
        ];
        for (key, text) in [
            ("http.route", served.route),
            ("webtask.tenant", served.tenant),
            ("webtask.token_id", served.token_id),
            ("webtask.digest", served.digest.unwrap_or_default()),
        ] {
            if !text.is_empty() {
                attributes.push(KeyValue::new(key, text.to_owned()));
            }
        }
        // Only what is the server's fault is an error of a server's span.
        let failed = served.status >= 500;
        if failed {
            attributes.push(KeyValue::new("error.type", served.code));
        }
        let span = Span {
            id: context.span_id,
            parent: context.parent,
            kind: SpanKind::Server,
            name: format!("{method} {}", served.route)
                .trim_end()
                .to_owned()
                .into(),
            start: when(served.started),
            end: at,
            attributes,
            failed,
        };
        self.push(self.data(context, span));
    }

    fn data(&self, context: &TraceContext, span: Span) -> SpanData {
        SpanData {
            span_context: SpanContext::new(
                context.trace_id,
                span.id,
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: span.parent.is_some() && span.parent == context.parent,
            span_kind: span.kind,
            name: span.name,
            start_time: span.start,
            end_time: span.end,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: match span.failed {
                true => Status::error(""),
                false => Status::Unset,
            },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// What differs from span to span.
struct Span {
    id: SpanId,
    parent: Option<SpanId>,
    kind: SpanKind,
    name: Cow<'static, str>,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    failed: bool,
}

/// An outbound call under way; its span is over when the head of the answer is there, or this is dropped.
pub(crate) struct CallSpan {
    observed: Arc<Observed>,
    context: Arc<TraceContext>,
    id: SpanId,
    started: Instant,
    method: &'static str,
    host: String,
    port: u16,
    /// The status, or why there is none.
    answered: Result<u16, &'static str>,
}

impl CallSpan {
    /// None for a trace that is not exported.
    pub(crate) fn begin(
        observed: &Arc<Observed>,
        context: &Arc<TraceContext>,
        id: SpanId,
        method: &http::Method,
        target: &Target,
    ) -> Option<Self> {
        observed.exporter(context)?;
        Some(Self {
            observed: observed.clone(),
            context: context.clone(),
            id,
            started: Instant::now(),
            method: known(method.as_str()),
            host: target.host(),
            port: target.port,
            answered: Err("dropped"),
        })
    }

    pub(crate) fn answered(mut self, answered: Result<u16, &'static str>) {
        self.answered = answered;
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        let Some(exporter) = self.observed.exporter(&self.context) else {
            return;
        };
        let mut attributes = vec![
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("server.address", std::mem::take(&mut self.host)),
            KeyValue::new("server.port", i64::from(self.port)),
        ];
        let failed = match self.answered {
            Ok(status) => {
                attributes.push(KeyValue::new(
                    "http.response.status_code",
                    i64::from(status),
                ));
                status >= 400
            }
            Err(reason) => {
                attributes.push(KeyValue::new("error.type", reason));
                true
            }
        };
        let end = SystemTime::now();
        let took: Duration = self.started.elapsed();
        let span = Span {
            id: self.id,
            parent: Some(self.context.span_id),
            kind: SpanKind::Client,
            name: self.method.into(),
            start: end.checked_sub(took).unwrap_or(end),
            end,
            attributes,
            failed,
        };
        exporter.push(exporter.data(&self.context, span));
    }
}

/// The method, if it is one that everybody knows: anything else a caller can choose at will.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    ];
    let found = KNOWN.iter().find(|known| **known == method);
    found.copied().unwrap_or("_OTHER")
}
