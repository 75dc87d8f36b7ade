//! Panics before it answers.
use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    panic!("guest says no");
}
