//! Calls per minute of each link of a token: a bucket that fills evenly.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use moka::sync::Cache;
use tokio::time::Instant;
use webtask_token::LinkId;

use crate::deadline;

/// A limit counts over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// Buckets in memory; the longest unused ones go first.
const BUCKETS: u64 = 1_000_000;

/// The buckets of all links that have a limit.
pub(crate) struct Rates {
    buckets: Cache<LinkId, Arc<Bucket>>,
}

/// The instant at which a bucket will be full: a call moves it on by its share.
pub(crate) struct Bucket(Mutex<Instant>);

impl Rates {
    pub(crate) fn new() -> Self {
        // A bucket that nobody touched for a minute is full again, and so need not be kept.
        Self {
            buckets: Cache::builder()
                .max_capacity(BUCKETS)
                .time_to_idle(MINUTE)
                .build(),
        }
    }

    /// Takes one call of `per_minute` from the bucket of `link`, or says when there will be one.
    pub(crate) fn take(&self, link: LinkId, per_minute: u64, now: Instant) -> Result<(), Duration> {
        let bucket = self.buckets.get_with(link, || Arc::new(Bucket::full(now)));
        bucket.take(per_minute, now)
    }
}

impl Bucket {
    pub(crate) fn full(now: Instant) -> Self {
        Self(Mutex::new(now))
    }

    /// Takes one call of `per_minute`, or says when there will be one.
    pub(crate) fn take(&self, per_minute: u64, now: Instant) -> Result<(), Duration> {
        let Some(each) = u32::try_from(per_minute)
            .ok()
            .and_then(|n| MINUTE.checked_div(n))
        else {
            // None at all; or more than four billion, which is no limit.
            return if per_minute == 0 { Err(MINUTE) } else { Ok(()) };
        };
        let mut full_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = deadline::after((*full_at).max(now), each);
        match next.saturating_duration_since(now).checked_sub(MINUTE) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                *full_at = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_holds_its_calls_and_fills_evenly() {
        let (rates, link, start) = (Rates::new(), LinkId::from([1; 16]), Instant::now());
        for _ in 0..6 {
            assert_eq!(rates.take(link, 6, start), Ok(()));
        }
        assert_eq!(rates.take(link, 6, start), Err(Duration::from_secs(10)));
        assert_eq!(
            rates.take(LinkId::from([2; 16]), 6, start),
            Ok(()),
            "another link has its own"
        );
        assert_eq!(rates.take(link, 6, start + Duration::from_secs(10)), Ok(()));
        assert!(
            rates
                .take(link, 6, start + Duration::from_secs(10))
                .is_err()
        );
        assert_eq!(rates.take(link, 0, start), Err(MINUTE));
    }
}
