//! A guest's log: `wasi:logging`, stdout and stderr, one bounded stream of records per invocation.
//!
//! A guest's text can never forge a record or a terminal sequence: it is one escaped field.

mod stream;

use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::{HasData, Linker};

use super::{
    bindings::wasi::logging::logging::{self, Level},
    invocation::Invocation,
};
use crate::{
    Limit,
    ctx::Ctx,
    logs::{self, What},
    meter::Spent,
    rights::Rights,
};

pub(crate) use stream::LineStream;

/// Records of one invocation about what it was denied.
const DENIALS: u32 = 20;

/// Bytes that are taken of a stream at once, and of a record of the host's own.
const PIECE: usize = 8 << 10;

/// The context of what the host says to the author.
const HOST: &str = "webtask";

pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    logging::add_to_linker::<_, HasLog>(linker, |ctx| View(&ctx.log))
}

struct HasLog;
impl HasData for HasLog {
    type Data<'a> = View<'a>;
}

struct View<'a>(&'a GuestLog);

impl logging::Host for View<'_> {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        self.0.line(level, &context, message.as_bytes());
        Ok(())
    }
}

/// The log of one invocation. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct GuestLog(Arc<Shared>);

struct Shared {
    invocation: Arc<Invocation>,
    rights: Arc<Rights>,
    spent: Arc<Spent>,
    left: Mutex<Left>,
}

struct Left {
    lines: u64,
    bytes: u64,
    cut: bool,
    /// Records of the host about what was denied: the guest chooses how often, so they are few.
    denials: u32,
}

impl GuestLog {
    pub(crate) fn new(invocation: Arc<Invocation>, rights: Arc<Rights>, spent: Arc<Spent>) -> Self {
        let limits = &rights.limits;
        let left = Left {
            lines: limits.log_lines,
            bytes: limits.log_bytes,
            cut: false,
            denials: DENIALS,
        };
        Self(Arc::new(Shared {
            invocation,
            rights,
            spent,
            left: Mutex::new(left),
        }))
    }

    /// One record of the guest's. Past the limits one last record says that the log was cut.
    fn line(&self, level: Level, context: &str, text: &[u8]) {
        let size = context.len().saturating_add(text.len()) as u64;
        let fits = {
            let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
            if left.lines == 0 || left.bytes < size {
                if !left.cut {
                    self.hit(match left.lines {
                        0 => Limit::LogLines,
                        _ => Limit::LogBytes,
                    });
                }
                let first = !left.cut;
                left.cut = true;
                left.lines = 0;
                if !first {
                    return;
                }
                false
            } else {
                left.lines = left.lines.saturating_sub(1);
                left.bytes = left.bytes.saturating_sub(size);
                true
            }
        };
        if fits {
            if text.len() > self.longest() {
                self.hit(Limit::LogLine);
            }
            self.emit(level, context, text, self.longest(), None);
        } else {
            self.host(
                Level::Warn,
                "log cut: the invocation reached its limit of log lines or bytes",
            );
        }
    }

    /// Remembers that a limit refused something.
    pub(crate) fn hit(&self, limit: Limit) {
        self.0.spent.hit(limit);
    }

    /// Bytes of the longest line of the guest's that stays one record.
    fn longest(&self) -> usize {
        usize::try_from(self.0.rights.limits.log_line).unwrap_or(usize::MAX)
    }

    /// Whether the limits are used up, and nothing more is recorded.
    fn is_cut(&self) -> bool {
        let left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.cut
    }

    /// A record for the author about a power that was denied, with what would grant it.
    pub(crate) fn denied(&self, text: &str) {
        self.denied_as(text, None);
    }

    /// The same, where authors who read over the network are told something else than the operator.
    pub(crate) fn denied_as(&self, text: &str, author: Option<&str>) {
        let left = {
            let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
            let before = left.denials;
            left.denials = before.saturating_sub(1);
            before
        };
        match left {
            0 => {}
            1 => self.host(Level::Warn, "more was denied, and is not logged"),
            _ => self.emit(
                Level::Warn,
                HOST,
                text.as_bytes(),
                PIECE,
                author.map(str::as_bytes),
            ),
        }
    }

    /// Counts an outbound call that was refused or failed, for the metrics.
    pub(super) fn call_failed(&self, reason: &'static str) {
        self.0.invocation.observed.metrics.call_failed(reason);
    }

    /// A record for the author about how the invocation failed.
    pub(crate) fn failed(&self, text: &str) {
        self.host(Level::Error, text);
    }

    /// A text for the log, at most `max` bytes.
    pub(crate) fn shown(&self, text: &[u8], max: usize) -> String {
        self.0.rights.shown(text, max)
    }

    fn host(&self, level: Level, text: &str) {
        self.emit(level, HOST, text.as_bytes(), PIECE, None);
    }

    /// To the log of the process, and to the author: the same text, or another one.
    fn emit(&self, level: Level, context: &str, text: &[u8], most: usize, author: Option<&[u8]>) {
        let Invocation {
            about, component, ..
        } = &*self.0.invocation;
        let (request_id, token_id) = (&*about.request_id, &*about.token_id);
        let (tenant, component) = (&*about.tenant, &**component);
        let shown_context = self.shown(context.as_bytes(), 128);
        let shown_text = self.shown(text, most);
        let (context, text) = (&*shown_context, &*shown_text);
        // Texts as fields, which are quoted: a guest cannot write a field of its own into the line.
        macro_rules! emit {
            ($level:ident) => {
                tracing::event!(target: "webtask::guest", tracing::Level::$level, text, context, request_id, token_id, tenant, component)
            };
        }
        match level {
            Level::Trace => emit!(TRACE),
            Level::Debug => emit!(DEBUG),
            Level::Info => emit!(INFO),
            Level::Warn => emit!(WARN),
            Level::Error | Level::Critical => emit!(ERROR),
        }
        // Masked and escaped like the record.
        let said = What::Said {
            text: author.map_or(shown_text, |author| self.shown(author, most)),
            context: shown_context,
        };
        let invocation = &self.0.invocation;
        let logs = &invocation.observed.logs;
        logs.write(&invocation.about, of(level), said);
    }
}

fn of(level: Level) -> logs::Level {
    match level {
        Level::Trace => logs::Level::Trace,
        Level::Debug => logs::Level::Debug,
        Level::Info => logs::Level::Info,
        Level::Warn => logs::Level::Warn,
        Level::Error | Level::Critical => logs::Level::Error,
    }
}
