//! Logs one message of `?bytes=` bytes in one call, `&times=` times.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;
use webtask_test_guests::wasi::logging::logging::{Level, log};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let text = "~".repeat(number(&request, "bytes", 100) as usize);
    for _ in 0..number(&request, "times", 1) {
        log(Level::Info, "long", &text);
    }
    Ok(webtask::text("logged"))
}
