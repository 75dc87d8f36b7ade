//! Why an invocation gave no whole response: what wasmtime says is named here, and nowhere else.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use wasmtime::{Trap, component::ResourceTableError, format_err};
use wasmtime_wasi_http::FieldMapError;

use super::backtrace::{self, Bounded};
use crate::{Limit, ctx::Ctx, limit::Exceeded, lines::Lines, meter::Ending, text::chain};

/// Bytes of a cause that are kept: it may quote the guest.
const CAUSE: usize = 1 << 10;

/// What wasmtime says when `hostcall-bytes` is used up. Its type is not public, so the whole text is compared:
/// a guest can quote it, and never be the root cause with it.
const HOSTCALL: &str = "too much data is being copied between the host and the guest: fuel allocated for hostcalls has been exhausted";

/// How wasmtime's text of a backtrace begins.
const BACKTRACE: &str = "error while executing at wasm backtrace:";

/// What a backtrace without source lines says of that.
const NO_LINES: &str = "; without source lines: the component has no debug information (debug = \"line-tables-only\" and strip = false in the profile), or more than the limit debug-bytes";

/// What wasmtime says when a guest has as many handles as it may: likewise.
const HANDLES: [&str; 2] = [
    "cannot allocate another handle: store handle limit exceeded",
    "cannot lend resource: store handle limit exceeded",
];

/// Why an invocation gave no whole response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvokeError {
    /// The guest used up its CPU time.
    #[error("the guest used more than {limit:?} of CPU time, the limit cpu")]
    Cpu {
        /// The limit in force.
        limit: Duration,
    },
    /// The guest ran, or waited, past its deadline.
    #[error("the guest ran longer than {limit:?}, the limit wall")]
    Deadline {
        /// The limit in force.
        limit: Duration,
    },
    /// The guest answered with an error of `wasi:http` instead of a response.
    #[error("the guest answered with the error {0}")]
    Guest(String),
    /// The guest made a set of headers that is too large.
    #[error("the guest made a set of headers beyond the limit header-bytes")]
    Headers(#[source] wasmtime::Error),
    /// The guest handed too much to the host in one call.
    #[error("the guest handed more to the host in one call than the limit hostcall-bytes")]
    Hostcall(#[source] wasmtime::Error),
    /// The guest failed after growth of its memory was refused.
    #[error("the guest reached the limit memory and failed")]
    Memory(#[source] wasmtime::Error),
    /// The guest returned and set no response.
    #[error("the guest returned without a response")]
    NoResponse,
    /// The pool of instances is exhausted.
    #[error("no place for another instance")]
    Overloaded(#[source] wasmtime::Error),
    /// The host's own code failed while the guest ran.
    #[error("the host failed in the middle of the run")]
    Panicked,
    /// The guest took more random bytes than it may.
    #[error("the guest took more random bytes than the limit {limit}")]
    Random {
        /// Which one: of one call, or of all.
        limit: Limit,
        /// What wasmtime says of it.
        source: wasmtime::Error,
    },
    /// The guest held too many of the host's resources, or of what WASI 0.3 waits for.
    #[error("the guest held more at the same time than the limit resources")]
    Resources(#[source] wasmtime::Error),
    /// The guest's response is larger than the limit.
    #[error("the response is larger than {limit} bytes, the limit response-bytes")]
    ResponseTooLarge {
        /// The limit in force.
        limit: u64,
    },
    /// The guest used up its stack.
    #[error("the guest reached the limit stack")]
    Stack(#[source] wasmtime::Error),
    /// The guest failed after growth of a table was refused.
    #[error("the guest reached the limit table-elements and failed")]
    Table(#[source] wasmtime::Error),
    /// The guest trapped.
    #[error("the guest trapped")]
    Trap(#[source] wasmtime::Error),
}

impl InvokeError {
    /// The limit that ended the run, if it was one.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Cpu { .. } => Some(Limit::Cpu),
            Self::Deadline { .. } => Some(Limit::Wall),
            Self::Headers(_) => Some(Limit::HeaderBytes),
            Self::Hostcall(_) => Some(Limit::HostcallBytes),
            Self::Memory(_) => Some(Limit::Memory),
            Self::Overloaded(_) => Some(Limit::Invocations),
            Self::Random { limit, .. } => Some(*limit),
            Self::Resources(_) => Some(Limit::Resources),
            Self::ResponseTooLarge { .. } => Some(Limit::ResponseBytes),
            Self::Stack(_) => Some(Limit::Stack),
            Self::Table(_) => Some(Limit::TableElements),
            Self::Guest(_) | Self::NoResponse | Self::Panicked | Self::Trap(_) => None,
        }
    }
}

/// What a guest fails with that is ended while it computes.
#[derive(Debug, thiserror::Error)]
#[error("ended by the host")]
pub(super) struct Ended;

/// Names the cause of a failed call, and tells the author in the invocation's log, with where it was.
pub(super) fn failure(error: &wasmtime::Error, ctx: &Ctx, lines: &Lines) -> InvokeError {
    let named = named(error, ctx);
    let text = match named {
        InvokeError::Cpu { .. } | InvokeError::Deadline { .. } => ended_by(&named),
        _ => format!("the webtask failed: {}{}", chain(&named), advice(&named)),
    };
    if ctx.spent.is_first_to_tell() {
        ctx.log.failed(&text);
    }
    if let Some(backtrace::Backtrace { all, own }) = backtrace::of(error, lines) {
        let hint = match lines.is_empty() {
            true => NO_LINES,
            false => "",
        };
        ctx.log.failed(&format!("backtrace: {all}{hint}"));
        if let Some(own) = own {
            ctx.log.failed(&format!("in its own code: {own}"));
        }
    }
    named
}

/// What the author reads of a run that a limit of time ended.
pub(super) fn ended_by(cut: &InvokeError) -> String {
    format!("the webtask was ended: {cut}{}", advice(cut))
}

fn advice(error: &InvokeError) -> String {
    let mend = error.mend();
    mend.map_or_else(String::new, |mend| format!("; {mend}"))
}

fn named(error: &wasmtime::Error, ctx: &Ctx) -> InvokeError {
    let limits = &ctx.rights.limits;
    // Whatever it failed with: its time was over.
    match ctx.spent.ending() {
        Some(Ending::Cpu) => return InvokeError::Cpu { limit: limits.cpu },
        Some(Ending::Wall) => return InvokeError::Deadline { limit: limits.wall },
        None => {}
    }
    let source = plain(error);
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        return InvokeError::Overloaded(source);
    }
    if let Some(Exceeded(limit)) = error.downcast_ref() {
        let limit = *limit;
        return InvokeError::Random { limit, source };
    }
    if let Some(Trap::StackOverflow) = error.downcast_ref() {
        return InvokeError::Stack(source);
    }
    let said = error.root_cause().to_string();
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full))
        || HANDLES.contains(&said.as_str())
    {
        return InvokeError::Resources(source);
    }
    // Its other cases are answers, and no traps.
    if error.is::<FieldMapError>() {
        return InvokeError::Headers(source);
    }
    if said == HOSTCALL {
        return InvokeError::Hostcall(source);
    }
    // Any trap after a refusal is the limit's doing: that is how languages say that there is no memory.
    match ctx.meter.refused() {
        Some(Limit::TableElements) => InvokeError::Table(source),
        Some(_) => InvokeError::Memory(source),
        None => InvokeError::Trap(source),
    }
}

/// The causes without the backtrace, which stands in the log by itself, and bounded: they may quote the guest.
fn plain(error: &wasmtime::Error) -> wasmtime::Error {
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return format_err!("the guest called exit({})", exit.0);
    }
    let mut text = String::new();
    for cause in error.chain() {
        let mut said = Cause(Bounded::new(CAUSE));
        let _ = write!(said, "{cause}");
        if said.is_backtrace() {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said.0.text);
        if text.len() > CAUSE {
            break;
        }
    }
    wasmtime::Error::msg(text)
}

/// The text of a cause; of a backtrace its first line. The rest may be far longer than the names that it is of.
struct Cause(Bounded);

impl Cause {
    fn is_backtrace(&self) -> bool {
        self.0.text.starts_with(BACKTRACE)
    }
}

impl fmt::Write for Cause {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)?;
        match self.is_backtrace() {
            true => Err(fmt::Error),
            false => Ok(()),
        }
    }
}
