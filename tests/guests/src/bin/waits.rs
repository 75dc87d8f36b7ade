//! Makes `?n=` things to wait for and keeps them all: pollables in WASI 0.2, streams in 0.3.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;

#[cfg(not(feature = "p3"))]
fn thing() -> impl Sized {
    webtask_test_guests::wasi::clocks::monotonic_clock::subscribe_duration(1 << 60)
}

#[cfg(feature = "p3")]
fn thing() -> impl Sized {
    webtask::__bindings::wit_stream::new::<u8>()
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let kept: Vec<_> = (0..number(&request, "n", 1_000_000))
        .map(|_| thing())
        .collect();
    Ok(webtask::text(kept.len().to_string()))
}
