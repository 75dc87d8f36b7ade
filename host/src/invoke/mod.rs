//! One invocation: a fresh store, one call, one deadline, whatever generation of WASI the component is of.
//!
//! Only the call itself differs: `p2` and `p3`.

mod backtrace;
mod failure;
mod p2;
mod p3;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, uri::Scheme};
use tokio::{sync::oneshot, task::JoinHandle};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi_http::WasiBody;

use crate::{
    Limits,
    admission::Place,
    body::RequestBody,
    capability::log::GuestLog,
    cpu::CpuBound,
    ctx::Ctx,
    lane::{self, Lane, Weighed},
    meter::{Ending, Spent},
    runtime::{Pre, Webtask},
};

pub use failure::InvokeError;
use failure::{Ended, ended_by, failure};

/// Where a call sends the head of its response, or the text of the error that the guest answered with.
type Head = oneshot::Sender<Result<Response<WasiBody>, String>>;

/// Handles for each live host resource, and entries in wasmtime's table of tasks, streams and futures of WASI
/// 0.3: a stream takes three of these, and two handles. wasmtime would hold a million, and a hundred thousand.
const WAITABLES: usize = 4;

/// How the request came, as the server says that accepted it; what the request itself says is a caller's word.
fn scheme<B>(request: &Request<B>) -> Scheme {
    let of_connection = request.extensions().get::<Scheme>();
    of_connection.cloned().unwrap_or(Scheme::HTTP)
}

/// Time for a guest that computes to get to a tick when its own is over: it fails there, with where it was. On the lane
/// a turn has five, and others have theirs.
const LAST_TICKS: Duration = Duration::from_millis(30);

/// Ticks of a turn on the heavy lane; elsewhere a run yields at every tick.
const TURN: u64 = 5;

/// How a run ended.
pub(crate) type Outcome = Result<(), Arc<InvokeError>>;

/// The rest of a run, beside the response that it already began.
pub(crate) enum Run {
    /// Over when the head was out: the usual case.
    Ended(Outcome),
    /// Still running, on a task of its own so that it advances while nobody reads the body.
    Running(Task),
}

/// A run on its own task; it ends when this is dropped.
pub(crate) struct Task(JoinHandle<Outcome>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Run {
    /// How the run ended, once it has.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let outcome = match self {
            Self::Ended(outcome) => return Poll::Ready(outcome.clone()),
            Self::Running(task) => match Pin::new(&mut task.0).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(outcome)) => outcome,
                // Nothing but a panic ends it so: it is aborted only where nobody asks any more.
                Poll::Ready(Err(_)) => Err(Arc::new(InvokeError::Panicked)),
            },
        };
        *self = Self::Ended(outcome.clone());
        Poll::Ready(outcome)
    }
}

impl Webtask {
    /// Runs the webtask on `request` until its response begins; `Run` is what is left to do.
    ///
    /// The guest is polled in the caller's task until then, so dropping this future ends the run.
    pub(crate) async fn invoke(
        &self,
        ctx: Ctx,
        limits: &Limits,
        request: Request<RequestBody>,
        place: Place,
        lane: &Arc<Lane>,
    ) -> Result<(Response<WasiBody>, Run), Arc<InvokeError>> {
        let (send, mut head) = oneshot::channel();
        let log = ctx.log.clone();
        let mut run = Box::pin(self.run(ctx, limits, request, place, send, lane.clone()));
        let (mut ended, mut headless) = (None, false);
        let response = std::future::poll_fn(|cx| {
            if ended.is_none()
                && let Poll::Ready(outcome) = run.as_mut().poll(cx)
            {
                ended = Some(outcome);
            }
            // A run on the heavy lane drops its sender some time before its end is known here.
            let polled = match headless {
                true => Poll::Pending,
                false => Pin::new(&mut head).poll(cx),
            };
            headless |= matches!(polled, Poll::Ready(Err(_)));
            match polled {
                // A run that failed before anything was sent is better told by an error than by half an
                // answer.
                Poll::Ready(Ok(Ok(response))) => Poll::Ready(match &ended {
                    Some(Err(error)) => Err(error.clone()),
                    // 1xx is no answer, and 101 would make a tunnel of the connection.
                    _ if !(200..600).contains(&response.status().as_u16()) => {
                        let status = response.status().as_u16();
                        Err(Arc::new(InvokeError::Guest(format!("status {status}"))))
                    }
                    _ => Ok(response),
                }),
                // The text may hold anything: it is the guest's own.
                Poll::Ready(Ok(Err(code))) => {
                    let code = log.shown(code.as_bytes(), 512);
                    Poll::Ready(Err(Arc::new(InvokeError::Guest(code))))
                }
                // Without a sender there will be no head: how the run ends says why.
                Poll::Ready(Err(_)) | Poll::Pending => match &ended {
                    Some(Ok(_)) => Poll::Ready(Err(Arc::new(InvokeError::NoResponse))),
                    Some(Err(error)) => Poll::Ready(Err(error.clone())),
                    None => Poll::Pending,
                },
            }
        })
        .await?;
        let run = match ended {
            Some(outcome) => Run::Ended(outcome),
            None => Run::Running(Task(tokio::spawn(run))),
        };
        Ok((response, run))
    }

    fn run(
        &self,
        ctx: Ctx,
        limits: &Limits,
        request: Request<RequestBody>,
        place: Place,
        head: Head,
        lane: Arc<Lane>,
    ) -> impl Future<Output = Outcome> + Send + use<> {
        let pre = self.pre.clone();
        let wall = limits.wall;
        let hostcall = usize::try_from(limits.hostcall_bytes).unwrap_or(usize::MAX);
        let waitables = limits.resources.saturating_mul(WAITABLES);
        let lines = self.lines.clone();
        let (log, spent) = (ctx.log.clone(), ctx.spent.clone());
        let tenant = place.tenant().clone();
        let guest = async move {
            // The run has the place, and not its response: who reads slowly holds no place. It goes after
            // the store, so that whoever has it next finds an instance free.
            let _place = place;
            let mut store = Store::new(pre.engine(), ctx);
            store.limiter(|ctx| &mut ctx.meter);
            store.set_hostcall_fuel(hostcall);
            store.set_max_component_handles(waitables);
            // The guest yields at every tick, so the limits round it reach a spinning guest as they do
            // a parked one. `yield_now` and not wasmtime's own yield: that starves tokio's I/O.
            store.set_epoch_deadline(1);
            store.epoch_deadline_callback(|store| {
                if store.data().spent.ending().is_some() {
                    return Err(Ended.into());
                }
                Ok(UpdateDeadline::YieldCustom(
                    if lane::here() { TURN } else { 1 },
                    Box::pin(tokio::task::yield_now()),
                ))
            });
            if let Some(table) = store.concurrent_resource_table() {
                table.set_max_capacity(waitables);
            }
            let called = match &pre {
                Pre::P2(pre) => p2::call(pre, &mut store, request, head).await,
                Pre::P3(pre) => p3::call(pre, &mut store, request, head).await,
            };
            let ctx = store.data();
            match called {
                Ok(()) => Ok(()),
                Err(error) => Err(failure(&error, ctx, &lines)),
            }
        };
        let bounded = CpuBound::new(guest, limits.cpu, spent.clone());
        in_time(Weighed::new(bounded, lane, tenant), wall, spent, log)
    }
}

/// The run within its wall-clock time, and how it ended.
async fn in_time<R>(mut run: R, wall: Duration, spent: Arc<Spent>, log: GuestLog) -> Outcome
where
    R: Future<Output = Result<Result<(), InvokeError>, Duration>> + Unpin,
{
    let mut ended = tokio::time::timeout(wall, &mut run).await;
    if ended.is_err() {
        spent.end(Ending::Wall);
        ended = tokio::time::timeout(LAST_TICKS, run).await;
    }
    spent.phases.end();
    let cut = match ended {
        Ok(Ok(ended)) => return ended.map_err(Arc::new),
        Ok(Err(limit)) => InvokeError::Cpu { limit },
        Err(_) => InvokeError::Deadline { limit: wall },
    };
    if spent.is_first_to_tell() {
        log.failed(&ended_by(&cut));
    }
    Err(Arc::new(cut))
}
