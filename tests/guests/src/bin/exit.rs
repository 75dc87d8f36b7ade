//! Exits, as a program does and no webtask should, with the status `?code=`.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    std::process::exit(number(&request, "code", 0) as i32);
}
