//! Writes `?lines=` numbered lines, each filled up to `&size=` bytes, to its standard output in one piece.
use webtask::{Error, Request, Response};
use webtask_test_guests::number;

#[cfg(not(feature = "p3"))]
async fn write(all: Vec<u8>) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(&all);
    let _ = std::io::stdout().flush();
}

/// That of WASI 0.3 itself: what `std` has is 0.2's.
#[cfg(feature = "p3")]
async fn write(all: Vec<u8>) {
    use webtask::__bindings::{wasi::cli::stdout::write_via_stream, wit_stream};
    let (mut to, contents) = wit_stream::new();
    let written = write_via_stream(contents);
    let _ = to.write_all(all).await;
    drop(to);
    let _ = written.await;
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let size = number(&request, "size", 100) as usize;
    let mut all = Vec::new();
    for line in 0..number(&request, "lines", 1) {
        let end = all.len() + size;
        all.extend(format!("line {line:06} ").into_bytes());
        all.resize(end, b'~');
        all.push(b'\n');
    }
    write(all).await;
    Ok(webtask::text("written"))
}
