//! Overflows its stack.
use webtask_test_guests::{IncomingRequest, ResponseOutparam, answer, raw};

raw!(handle);

fn deeper(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 16]);
    if depth == u64::MAX {
        0
    } else {
        deeper(depth + 1) + frame[3]
    }
}

fn handle(_: IncomingRequest, out: ResponseOutparam) {
    answer(out, &deeper(0).to_string());
}
