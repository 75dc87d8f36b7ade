//! `Quota`: how many lines of one kind go to the log in a second, and a count of those that do not.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What the number is of.
const SECOND: Duration = Duration::from_secs(1);

/// A number for each second.
pub(crate) struct Quota {
    each: u32,
    state: Mutex<State>,
}

struct State {
    /// When the second began.
    since: Instant,
    taken: u32,
    left_out: u64,
}

impl Quota {
    pub(crate) fn new(each: u32) -> Self {
        let state = State {
            since: Instant::now(),
            taken: 0,
            left_out: 0,
        };
        Self {
            each,
            state: Mutex::new(state),
        }
    }

    /// Whether one more fits into this second. The first that does not sees to it that the number of those
    /// left out is logged when the second is over.
    pub(crate) fn take(self: &Arc<Self>) -> bool {
        let (took, first) = self.count(Instant::now());
        if first && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let quota = self.clone();
            runtime.spawn(async move {
                tokio::time::sleep(SECOND).await;
                quota.tell();
            });
        }
        took
    }

    fn tell(&self) {
        let left_out = std::mem::take(&mut self.state().left_out);
        tracing::warn!(
            left_out,
            "requests without a valid token came too often to be logged one by one"
        );
    }

    /// Whether it fits, and whether it is the first one left out since that was last told.
    fn count(&self, now: Instant) -> (bool, bool) {
        let mut state = self.state();
        if now.duration_since(state.since) >= SECOND {
            (state.since, state.taken) = (now, 0);
        }
        if state.taken < self.each {
            state.taken = state.taken.saturating_add(1);
            return (true, false);
        }
        state.left_out = state.left_out.saturating_add(1);
        (false, state.left_out == 1)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_lines_and_the_rest_is_counted() {
        let quota = Quota::new(3);
        let now = Instant::now();
        let taken: Vec<_> = (0..5).map(|_| quota.count(now)).collect();
        let (yes, first, no) = ((true, false), (false, true), (false, false));
        assert_eq!(taken, [yes, yes, yes, first, no]);
        assert_eq!(quota.state().left_out, 2);
        assert_eq!(quota.count(now + SECOND), yes);
    }
}
