//! Sends the head and one chunk, waits `?ms=` milliseconds, then panics.
#[cfg(not(feature = "p3"))]
webtask_test_guests::raw!(|request, out| {
    use webtask_test_guests::{begin, path, query_number, write};
    let ms = query_number(&path(&request), "ms", 0);
    let body = begin(out, &[]);
    write(&body, b"half of ");
    if ms > 0 {
        std::thread::sleep(std::time::Duration::from_millis(ms));
    }
    panic!("and no more");
});

#[cfg(feature = "p3")]
#[webtask::main]
async fn main(request: webtask::Request) -> Result<webtask::Response, webtask::Error> {
    let ms = webtask_test_guests::number(&request, "ms", 0);
    let body = webtask::Body::stream(async move |writer| {
        writer.write("half of ").await;
        if ms > 0 {
            webtask::sleep(std::time::Duration::from_millis(ms)).await;
        }
        panic!("and no more");
    });
    Ok(webtask::Response::new(body))
}
