//! The access record: one line for each request, when its answer is out or its caller has left.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;
use webtask_token::Opened;

use crate::{Error, Limit, body::Received, error::Blame, meter::Spent, rights::Rights, text::hex};

/// The code of a request whose answer was not read to its end.
const CALLER_LEFT: &str = "caller-left";

/// Bytes of a cause that are kept: an error of the guest's may be of any length.
const CAUSE: usize = 2 << 10;

/// What is recorded of one request. Written when dropped, so that no way out is without a record.
///
/// Never in it: URLs, headers, secrets, tokens, anything a guest wrote.
pub(crate) struct Record {
    pub(crate) request_id: String,
    pub(crate) method: String,
    pub(crate) started: Instant,
    pub(crate) token_id: String,
    pub(crate) kid: String,
    pub(crate) tenant: String,
    pub(crate) digest: Option<[u8; 32]>,
    pub(crate) status: u16,
    pub(crate) sent: u64,
    pub(crate) received: Arc<Received>,
    /// Bytes after which the answer is whole although nobody reads on: a known length, or a HEAD.
    pub(crate) whole_at: Option<u64>,
    code: &'static str,
    blame: Option<Blame>,
    pub(crate) spent: Arc<Spent>,
    /// What must not stand in the record, once it is known.
    pub(crate) rights: Option<Arc<Rights>>,
}

impl Record {
    pub(crate) fn new(request_id: String, method: &http::Method) -> Self {
        Self {
            request_id,
            method: method.to_string(),
            started: Instant::now(),
            token_id: String::new(),
            kid: String::new(),
            tenant: String::new(),
            digest: None,
            status: 0,
            sent: 0,
            received: Arc::default(),
            whole_at: None,
            // Whoever drops the record before it is answered left.
            code: CALLER_LEFT,
            blame: Some(Blame::Caller),
            spent: Arc::default(),
            rights: None,
        }
    }

    /// Whose token it is.
    pub(crate) fn of(&mut self, opened: &Opened) {
        self.token_id = opened.id.to_string();
        self.kid = opened.kid.to_string();
        self.tenant.clone_from(&opened.claims.tenant);
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

impl Drop for Record {
    fn drop(&mut self) {
        if self.code == CALLER_LEFT && self.is_whole() {
            self.answered();
        }
        if self.received.too_large.load(Ordering::Relaxed) {
            self.spent.hit(Limit::RequestBytes);
        }
        tracing::info!(
            target: "webtask::access",
            request_id = self.request_id,
            token_id = self.token_id,
            kid = self.kid,
            tenant = self.tenant,
            digest = self.digest.map(|digest| hex(&digest)),
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
            wall_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        );
    }
}
