//! When something that begins has to be over, and how much of that time is for what.

use std::time::Duration;

use tokio::time::Instant;

/// What stands for a time that the clock cannot tell: thirty years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The moment `wait` after `start`. A wait past the end of the clock is one of thirty years, as in tokio's own timers:
/// a sum of instants panics there.
pub(crate) fn after(start: Instant, wait: Duration) -> Instant {
    let end = start.checked_add(wait).or_else(|| start.checked_add(FAR));
    end.unwrap_or(start)
}

/// The share of one of `parts` in `time`. Nothing is shared among none, who have all of it.
pub(crate) fn share(time: Duration, parts: usize) -> Duration {
    let parts = u32::try_from(parts).unwrap_or(u32::MAX);
    time.checked_div(parts).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_past_the_end_of_the_clock_is_a_long_one() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(after(start, second).duration_since(start), second);
        assert_eq!(after(start, Duration::MAX).duration_since(start), FAR);
    }

    #[test]
    fn time_is_shared_evenly() {
        assert_eq!(share(Duration::from_secs(9), 3), Duration::from_secs(3));
        assert_eq!(share(Duration::from_secs(9), 0), Duration::from_secs(9));
    }
}
