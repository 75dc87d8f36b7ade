//! Streams `?bytes=N` zero bytes.
use webtask::{Body, Bytes, Error, Request, Response};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let mut left: usize = query(path, "bytes")
        .and_then(|n| n.parse().ok())
        .unwrap_or(1 << 20);
    Ok(Response::new(Body::stream(async move |writer| {
        let zeros = Bytes::from_static(&[0; 16 * 1024]);
        while left > 0 {
            let now = left.min(zeros.len());
            writer.write(zeros.slice(..now)).await;
            left -= now;
        }
        Ok(())
    })))
}
