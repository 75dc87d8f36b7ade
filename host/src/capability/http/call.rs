//! One outbound call: granted, connected, exchanged. Owns what an invocation shares with its calls.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    Io,
    body::{OutboundBody, SentBody, Tally},
    reason::Reason,
};
use crate::{
    capability::{invocation::Invocation, log::GuestLog},
    egress::{ConnectError, Egress, Key, Ranges, SendError, Target},
    meter::Spent,
    rights::{Outside, Rights},
    text::chain,
    trace::CallSpan,
};

/// What one call needs of its invocation.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) egress: Arc<Egress>,
    pub(super) rights: Arc<Rights>,
    pub(super) invocation: Arc<Invocation>,
    pub(super) log: GuestLog,
    pub(super) spent: Arc<Spent>,
}

impl Call {
    /// Where the request goes, if a grant allows it; else a line that says what would.
    pub(super) fn permit(&self, request: &Request<WasiBody>) -> Result<Target, Error> {
        let target = Target::of(request.uri()).map_err(|error| {
            self.refuse(Reason::Url, &format!("outbound call refused: {error}"))
        })?;
        let (method, path) = (request.method().as_str(), request.uri().path());
        // CONNECT and TRACE are no calls of an API, also where a grant says `*`.
        if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
            let text = format!("outbound call refused: no grant allows {method}");
            return Err(self.refuse(Reason::Method, &text));
        }
        let (scheme, host, port) = (target.scheme, target.host(), target.port);
        let granted = self
            .rights
            .allows_outbound(method, scheme, &host, port, path);
        let Err(outside) = granted else {
            return Ok(target);
        };
        let url = format!(
            "{}{}",
            target.origin(),
            self.log.shown(path.as_bytes(), 256)
        );
        let (reason, mend) = match outside {
            Outside::Token => (
                Reason::NoGrant,
                format!("no grant for {method} {url}; grant it with --allow '{method} {url}'"),
            ),
            Outside::Policy(policy) => (
                Reason::Policy,
                format!(
                    "outside of the platform's policy {}; its operator would add `allow: {method} {url}`",
                    policy.name()
                ),
            ),
            Outside::Tenant(tenant) => (
                Reason::Tenant,
                format!(
                    "outside of what the operator allows the tenant {tenant}; he would add {:?} to `out` of [tenants.{tenant}]",
                    format!("{method} {url}")
                ),
            ),
        };
        Err(self.refuse(reason, &format!("outbound call refused: {mend}")))
    }

    pub(super) async fn exchange(
        self,
        target: &Target,
        mut request: Request<WasiBody>,
        options: RequestOptions,
        place: OwnedSemaphorePermit,
    ) -> Result<(Response<WasiBody>, Io), Error> {
        // Answered by nobody: the body follows at once.
        request.headers_mut().remove(header::EXPECT);
        let trace = &self.invocation.trace;
        let span = trace.new_span();
        trace.of_call(request.headers_mut(), span);
        let span = CallSpan::begin(
            &self.invocation.observed,
            trace,
            span,
            request.method(),
            target,
        );
        // The deadline of the invocation bounds every wait, whatever the guest asks for.
        let left = self.invocation.remaining();
        let bounded =
            |asked: Option<Duration>, most: Duration| asked.unwrap_or(most).min(most).min(left);
        let limits = &self.rights.limits;
        let tally = Tally {
            spent: self.spent.clone(),
            most: limits.outbound_total,
            log: self.log.clone(),
            cut: Arc::default(),
        };
        let request = request.map(|body| SentBody::new(body, tally.clone()).boxed_unsync());
        let sent = self
            .egress
            .exchange(
                &self.key(target),
                request,
                bounded(options.connect_timeout, limits.connect),
                bounded(options.first_byte_timeout, left),
            )
            .await;
        if let Some(span) = span {
            span.answered(match &sent {
                Ok(response) => Ok(response.status().as_u16()),
                Err(error) => Err(Reason::of_send(error).name()),
            });
        }
        let response = sent.map_err(|error| match tally.cut.load(Ordering::Relaxed) {
            true => Error::HttpRequestBodySize(None),
            false => self.failed(&error, target),
        })?;
        let between = bounded(options.between_bytes_timeout, left);
        let body_bytes = limits.outbound_bytes;
        let response = response.map(|answer| {
            OutboundBody::new(answer, tally, body_bytes, between, place).boxed_unsync()
        });
        Ok((response, Box::new(async { Ok(()) })))
    }

    /// Whose connections the call may use: those of the token's root, to this very target.
    fn key(&self, target: &Target) -> Key {
        Key {
            owner: self.rights.root(),
            target: target.clone(),
            // A grant of an address is its name: only a literal reaches an opened range.
            ranges: Ranges::Opened,
        }
    }

    /// The typed error that the guest sees; the author's log has the reason and the rest.
    pub(super) fn refuse(&self, reason: Reason, text: &str) -> Error {
        reason.tell(&self.log, text)
    }

    fn failed(&self, error: &SendError, target: &Target) -> Error {
        let hint = match error {
            SendError::Connect(ConnectError::Address { address, .. }) => {
                format!(
                    "; the platform can open it with --allow-private {address}, for grants that name the address itself"
                )
            }
            SendError::Connect(ConnectError::Timeout { .. }) => " (limit connect)".to_owned(),
            _ => String::new(),
        };
        let text = format!("outbound call failed: {}{hint}", chain(error));
        let author = beyond_network(error, target);
        Reason::of_send(error).tell_as(&self.log, &text, author.as_deref())
    }
}

/// What an author may read where the whole error tells of the operator's network: the addresses behind names that he
/// chose, and what name servers said.
fn beyond_network(error: &SendError, target: &Target) -> Option<String> {
    let SendError::Connect(error) = error else {
        return None;
    };
    match error {
        ConnectError::Address { name, .. } if target.literal().is_none() => Some(format!(
            "outbound call failed: {name} has no public address; the platform opens private ones with --allow-private, for grants that name the address itself"
        )),
        ConnectError::Dns { name, .. } => {
            Some(format!("outbound call failed: cannot resolve {name}"))
        }
        _ => None,
    }
}
