//! Sends the head and one chunk, waits `?ms=` milliseconds, then panics.
use webtask_test_guests::{IncomingRequest, ResponseOutparam, begin, number, raw, write};

raw!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let body = begin(out, &[]);
    write(&body, b"half of ");
    if let ms @ 1.. = number(&request, "ms", 0) {
        std::thread::sleep(std::time::Duration::from_millis(ms));
    }
    panic!("and no more");
}
