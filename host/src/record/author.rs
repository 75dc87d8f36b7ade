//! What the author of a webtask reads of a request's end, beside what its invocation logged.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{CALLER_LEFT, CAUSE, Record};
use crate::{
    Error,
    error::Blame,
    logs::{Ended, Level, What},
    phases::Phase,
};

impl Record {
    /// The cause of a failure that the invocation's own log does not have.
    pub(super) fn tell_author(&self, error: &Error) {
        let (Some(about), Some(rights)) = (&self.about, &self.rights) else {
            return;
        };
        let Some(text) = error.author(&rights.url) else {
            return;
        };
        let said = What::Said {
            context: "webtask".to_owned(),
            text: rights.shown(text.as_bytes(), CAUSE),
        };
        let level = level(error.blame());
        self.observed.logs.write(about, level, said);
    }

    /// How the request ended.
    pub(super) fn end_for_author(&self, took: Duration) {
        let Some(about) = self.about.as_ref().map(Arc::clone) else {
            return;
        };
        let spent = &self.spent;
        let phase = |phase| spent.phases.took(phase).map_or(0.0, ms);
        let ended = Ended {
            method: self.method.clone(),
            status: self.status,
            code: self.code,
            component: self.component.clone(),
            ms: ms(took),
            open_ms: phase(Phase::Open),
            load_ms: phase(Phase::Load),
            instantiate_ms: phase(Phase::Instantiate),
            run_ms: phase(Phase::Run),
            cpu_ms: ms(Duration::from_micros(spent.cpu_us())),
            memory: spent.memory(),
            calls: spent.calls(),
            received: self.received.bytes.load(Ordering::Relaxed),
            sent: self.sent,
            limits: spent.limits(),
        };
        let level = match self.code {
            CALLER_LEFT => Level::Warn,
            _ => self.blame.map_or(Level::Info, level),
        };
        let ended = What::Ended(Box::new(ended));
        self.observed.logs.write(&about, level, ended);
    }
}

/// What a caller did wrong is no fault of the webtask.
fn level(blame: Blame) -> Level {
    match blame {
        Blame::Caller => Level::Warn,
        Blame::Component | Blame::Guest | Blame::Host => Level::Error,
    }
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
