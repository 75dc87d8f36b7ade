//! Makes `?n=` header tables and keeps them all: entries in the host's table of resources.
use webtask_test_guests::{Fields, IncomingRequest, ResponseOutparam, answer, number, raw};

raw!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let kept: Vec<_> = (0..number(&request, "n", 1_000_000))
        .map(|_| Fields::new())
        .collect();
    answer(out, &kept.len().to_string());
}
