//! Overflows its stack.
use webtask::{Error, Request, Response};

fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 16]);
    if depth == u64::MAX {
        0
    } else {
        deeper(depth + 1) + frame[3]
    }
}

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    Ok(webtask::text(deeper(0).to_string()))
}
