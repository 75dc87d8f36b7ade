//! Loops for ever.
use webtask_test_guests::{IncomingRequest, ResponseOutparam, raw};

raw!(handle);

fn handle(_: IncomingRequest, _: ResponseOutparam) {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}
