//! Outbound HTTP of a guest: grant, then egress, then a bounded exchange. Every call passes here.

mod body;
mod call;
pub(super) mod head;
mod reason;
mod scan;
mod slots;

use std::sync::{Arc, LazyLock};

use http::{HeaderName, Request, Response, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use self::{call::Call, reason::Reason, slots::Slots};
use super::{invocation::Invocation, log::GuestLog};
use crate::{egress::Egress, meter::Spent, rights::Rights};

/// The most bytes that one write of a guest puts into a body.
const CHUNK: usize = 64 << 10;

/// [`is_forbidden`], as wasi-http has it for each set of fields.
static FORBIDDEN: LazyLock<ForbiddenHeaderFilter> = LazyLock::new(|| Arc::new(is_forbidden));

/// A future that wasi-http drives beside the exchange.
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// The outbound calls of one invocation.
pub(crate) struct Outbound {
    call: Call,
    /// None for a token without bound secrets.
    slots: Option<Arc<Slots>>,
    calls_left: u64,
    /// Made for the first of them.
    concurrent: Option<Arc<Semaphore>>,
}

impl Outbound {
    pub(crate) fn new(
        egress: Arc<Egress>,
        rights: Arc<Rights>,
        invocation: Arc<Invocation>,
        log: GuestLog,
        spent: Arc<Spent>,
    ) -> Self {
        let limits = &rights.limits;
        Self {
            calls_left: limits.calls,
            concurrent: None,
            slots: Slots::of(&rights, &log),
            call: Call {
                egress,
                rights,
                invocation,
                log,
                spent,
            },
        }
    }

    /// Counts the call and takes a place among those under way.
    fn admit(&mut self) -> Result<OwnedSemaphorePermit, Error> {
        let call = &self.call;
        call.spent.count_call();
        let Some(left) = self.calls_left.checked_sub(1) else {
            return Err(call.refuse(Reason::CallsUsedUp, "outbound call refused: the invocation has used all its outbound calls (limit calls)"));
        };
        self.calls_left = left;
        let most = call.rights.limits.concurrent_calls;
        let places = self
            .concurrent
            .get_or_insert_with(|| Arc::new(Semaphore::new(most)));
        places.clone().try_acquire_owned().map_err(|_| {
            call.refuse(
                Reason::TooManyCalls,
                "outbound call refused: too many at the same time (limit concurrent-calls)",
            )
        })
    }
}

impl WasiHttpHooks for Outbound {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // wasmtime calls this for WASI 0.2 and 0.3, requests and responses alike.
        FORBIDDEN.clone()
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        // Two of them wait for a peer that does not read: wasmtime's megabyte would be a lot of memory
        // for the connections that a host may have.
        CHUNK
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        // Counted first: refused calls cost the host as well.
        let admitted = self.admit().and_then(|place| {
            let target = self.call.permit(&request)?;
            // Here and not below: what the guest calls counts as its CPU time, what is spawned for it does not.
            let slots = match &self.slots {
                Some(slots) => slots.search(&target)?.map(|search| (slots.clone(), search)),
                None => None,
            };
            Ok((target, place, slots))
        });
        let call = self.call.clone();
        Box::new(async move {
            let (target, place, slots) = admitted?;
            let mut watch = None;
            if let Some((slots, search)) = slots {
                let (filled, watched) = slots.fill(&target, request, search).await?;
                (request, watch) = (filled, Some(watched));
            }
            let options = options.unwrap_or_default();
            let answered = call.exchange(&target, request, options, place).await;
            let Some(watch) = watch else { return answered };
            let (response, io) = answered.map_err(|error| watch.cause(error))?;
            Ok((watch.over(response)?, io))
        })
    }
}

/// Header fields that no guest may set and none gets to see: connection control, the host's own
/// `webtask-*`, and `forwarded`, by which a proxy vouches for where a request came from.
fn is_forbidden(name: &HeaderName) -> bool {
    DEFAULT_FORBIDDEN_HEADERS.contains(name)
        || matches!(*name, header::TE | header::TRAILER | header::FORWARDED)
        || name.as_str().starts_with("webtask-")
        || name.as_str().starts_with("proxy-")
}
