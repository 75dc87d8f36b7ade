//! Makes `?n=` header tables and keeps them all: entries in the host's table of resources.
use webtask::{Error, Request, Response};
use webtask_test_guests::{Fields, number};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let kept: Vec<_> = (0..number(&request, "n", 1_000_000))
        .map(|_| Fields::new())
        .collect();
    Ok(webtask::text(kept.len().to_string()))
}
