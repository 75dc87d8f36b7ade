//! Counts to `?n=` millions, and says what came of it.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let mut sum = 0_u64;
    for n in 0..number(&request, "n", 100) * 1_000_000 {
        sum = std::hint::black_box(sum.wrapping_add(n));
    }
    Ok(webtask::text(sum.to_string()))
}
