//! Sends the head and one chunk, then panics.
use webtask_test_guests::{IncomingRequest, ResponseOutparam, begin, raw, write};

raw!(handle);

fn handle(_: IncomingRequest, out: ResponseOutparam) {
    let body = begin(out, &[]);
    write(&body, b"half of ");
    panic!("and no more");
}
