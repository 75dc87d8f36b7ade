//! Asks for `?n=` random bytes at once, `&times=` times, and says how many it got.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;
use webtask_test_guests::wasi::random::random::get_random_bytes;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (n, times) = (number(&request, "n", 32), number(&request, "times", 1));
    let got: usize = (0..times).map(|_| get_random_bytes(n).len()).sum();
    Ok(webtask::text(got.to_string()))
}
