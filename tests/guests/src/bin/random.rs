//! Asks for `?n=` random bytes at once, and says how many it got.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;
use webtask_test_guests::wasi::random::random::get_random_bytes;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let bytes = get_random_bytes(number(&request, "n", 32));
    Ok(webtask::text(bytes.len().to_string()))
}
