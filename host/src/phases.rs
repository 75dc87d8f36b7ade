//! How long each part of a request took. Owns the marks between the parts; each is set where it happens.

use std::{sync::OnceLock, time::Duration};

use tokio::time::Instant;

/// The parts of a request that runs code, in their order. Each lasts until the next begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// From the token in the request to the rights that it gives for it.
    Open,
    /// From the URL to the compiled component.
    Load,
    /// From a free place to an instance.
    Instantiate,
    /// The guest's own code, until all of its tasks have ended.
    Run,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Open, Self::Load, Self::Instantiate, Self::Run];

    /// The name in metrics and spans.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Load => "load",
            Self::Instantiate => "instantiate",
            Self::Run => "run",
        }
    }
}

/// When each part began, and when the last one ended. A mark that is set stays.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    begun: [OnceLock<Instant>; 4],
    ended: OnceLock<Instant>,
}

impl Phases {
    pub(crate) fn begin(&self, phase: Phase) {
        if let Some(mark) = self.begun.get(phase as usize) {
            let _ = mark.set(Instant::now());
        }
    }

    /// The last part is over; without this it lasts until it is asked for.
    pub(crate) fn end(&self) {
        let _ = self.ended.set(Instant::now());
    }

    /// From when until when, of a part that began.
    pub(crate) fn span(&self, phase: Phase) -> Option<(Instant, Instant)> {
        let mut marks = self.begun.iter().skip(phase as usize);
        let begun = *marks.next()?.get()?;
        let next = marks.find_map(OnceLock::get).or(self.ended.get());
        Some((begun, next.copied().unwrap_or_else(Instant::now)))
    }

    /// How long a part took; none for one that was not reached.
    pub(crate) fn took(&self, phase: Phase) -> Option<Duration> {
        let (begun, ended) = self.span(phase)?;
        Some(ended.saturating_duration_since(begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_lasts_until_the_next_that_was_reached() {
        let phases = Phases::default();
        let pass = async |ms| tokio::time::advance(Duration::from_millis(ms)).await;
        let took = |phase| phases.took(phase).map(|took| took.as_millis());
        assert_eq!(took(Phase::Open), None);
        phases.begin(Phase::Open);
        pass(1).await;
        phases.begin(Phase::Load);
        pass(2).await;
        assert_eq!((took(Phase::Open), took(Phase::Load)), (Some(1), Some(2)));
        phases.begin(Phase::Instantiate);
        pass(4).await;
        phases.end();
        pass(8).await;
        assert_eq!(
            (took(Phase::Load), took(Phase::Instantiate)),
            (Some(2), Some(4))
        );
        assert_eq!(took(Phase::Run), None);
    }
}
