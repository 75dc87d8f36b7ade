//! Sends the head at once, then a chunk every `?ms=` milliseconds, `?n=` times.
use std::time::Duration;
use webtask::{Body, Error, Request, Response};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let number = |name, default| {
        query(path, name)
            .and_then(|n| n.parse().ok())
            .unwrap_or(default)
    };
    let (ms, n) = (number("ms", 100), number("n", 10));
    Ok(Response::new(Body::stream(async move |writer| {
        for index in 0..n {
            webtask::sleep(Duration::from_millis(ms)).await;
            writer.write(format!("chunk {index}\n")).await;
        }
        Ok(())
    })))
}
