//! The polite tenant: a steady load that does not wait for answers before it goes on.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep_until};

use crate::caller::{self, Kept};

/// What came of a load.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) sent: usize,
    /// Why those that were lost were.
    pub(crate) lost: Vec<String>,
    /// From the time at which each was due to its last byte, shortest first: what waits behind a slow one counts.
    pub(crate) took: Vec<Duration>,
}

impl Load {
    /// The time that `percent` of the requests did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        let at = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(at.min(last)).copied().unwrap_or_default()
    }
}

/// `rate` requests in a second for `time`, on a thread of its own: what others do here does not delay it.
pub(crate) async fn start(address: SocketAddr, token: String, rate: u32, time: Duration) -> Load {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime")
            .block_on(load(address, token, rate, time))
    };
    tokio::task::spawn_blocking(run)
        .await
        .expect("it does not panic")
}

async fn load(address: SocketAddr, token: String, rate: u32, time: Duration) -> Load {
    let kept = Kept::new(address);
    let begun = Instant::now();
    let (mut asked, mut load) = (JoinSet::new(), Load::default());
    for number in 0.. {
        let due = begun + Duration::from_secs(1) * number / rate;
        if due >= begun + time {
            break;
        }
        sleep_until(due.into()).await;
        let (token, kept) = (token.clone(), kept.clone());
        asked.spawn(async move {
            // Every other one over a connection of its own.
            let said = match number % 2 {
                0 => kept.get(&token).await,
                _ => caller::get(address, &token).await,
            };
            (said, due.elapsed())
        });
        while let Some(answer) = asked.try_join_next() {
            load.note(answer.expect("it does not panic"));
        }
    }
    while let Some(answer) = asked.join_next().await {
        load.note(answer.expect("it does not panic"));
    }
    load.took.sort_unstable();
    load
}

impl Load {
    fn note(&mut self, (said, took): (Result<(), String>, Duration)) {
        self.sent += 1;
        match said {
            Ok(()) => self.took.push(took),
            Err(why) => self.lost.push(why),
        }
    }
}
