//! Reads its request to the end, and says and logs how that was: `upload whole N` or `upload broken N`, after N bytes.
use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let mut body = request.into_body();
    let mut bytes = 0;
    let how = loop {
        match body.chunk().await {
            Ok(Some(chunk)) => bytes += chunk.len(),
            Ok(None) => break "whole",
            Err(_) => break "broken",
        }
    };
    let said = format!("upload {how} {bytes}");
    println!("{said}");
    Ok(webtask::text(said))
}
