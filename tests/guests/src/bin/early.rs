//! Answers before it reads the request's body, then reads it and says how long it was.
use webtask::{Body, Error, Request, Response};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let mut body = request.into_body();
    Ok(Response::new(Body::stream(async move |writer| {
        writer.write("early ").await;
        let mut bytes = 0;
        while let Some(chunk) = body.chunk().await? {
            bytes += chunk.len();
        }
        writer.write(bytes.to_string()).await;
        Ok(())
    })))
}
