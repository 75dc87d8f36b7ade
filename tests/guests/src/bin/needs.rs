//! Says that it needs two secrets, and answers with the names of all that it has.
#![forbid(unsafe_code)]
use webtask::{Error, Request, Response, secrets};

#[webtask::main(secrets("stripe-key", "other.key"))]
async fn main(_: Request) -> Result<Response, Error> {
    Ok(webtask::text(secrets::names().join(",")))
}
