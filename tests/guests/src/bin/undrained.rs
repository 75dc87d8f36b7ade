//! Writes to a stream that nobody reads, for ever: in WASI 0.2 a request's body whose request is never sent, in 0.3 one that
//! is its own.
use webtask::{Error, Request, Response};

#[cfg(not(feature = "p3"))]
async fn write() {
    use webtask_test_guests::outgoing;
    let request = outgoing();
    let body = request.body().expect("the first time");
    let stream = body.write().expect("the first time");
    while stream.blocking_write_and_flush(&[0; 4096]).is_ok() {}
}

#[cfg(feature = "p3")]
async fn write() {
    let (mut to, contents) = webtask::__bindings::wit_stream::new::<u8>();
    while to.write_all(vec![0; 1 << 16]).await.is_empty() {}
    drop(contents);
}

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    write().await;
    Ok(webtask::text("taken"))
}
