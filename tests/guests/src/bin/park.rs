//! Sleeps for an hour, then answers.
use std::time::Duration;
use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    webtask::sleep(Duration::from_secs(3600)).await;
    Ok(webtask::text("good morning"))
}
