//! Reads a piece of its request, and one more each hour.
use std::time::Duration;
use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let mut body = request.into_body();
    while body.chunk().await?.is_some() {
        webtask::sleep(Duration::from_secs(3600)).await;
    }
    Ok(webtask::text("all of it"))
}
