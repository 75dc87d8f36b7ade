//! Takes and touches `?mb=N` MiB, and says how many it got; what it cannot get aborts it.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let wanted = number(&request, "mb", 16);
    let mut blocks = Vec::new();
    for n in 0..wanted {
        blocks.push(std::hint::black_box(vec![n as u8 | 1; 1 << 20]));
    }
    Ok(webtask::text(blocks.len().to_string()))
}
