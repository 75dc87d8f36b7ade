//! Takes and touches `?mb=N` MiB, and says how many it got; what it cannot get aborts it.
use webtask_test_guests::{IncomingRequest, ResponseOutparam, answer, number, raw};

raw!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let wanted = number(&request, "mb", 16);
    let mut blocks = Vec::new();
    for n in 0..wanted {
        blocks.push(std::hint::black_box(vec![n as u8 | 1; 1 << 20]));
    }
    answer(out, &blocks.len().to_string());
}
