//! Says how many requests its instance has served.
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use webtask::{Error, Request, Response};

static SERVED: AtomicU32 = AtomicU32::new(0);

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    let served = SERVED.fetch_add(1, Ordering::Relaxed) + 1;
    // While it waits, a host that shares instances would hand it the next request.
    webtask::sleep(Duration::from_millis(20)).await;
    Ok(webtask::text(served.to_string()))
}
