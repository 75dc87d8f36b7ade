//! Asks for `?n=` random bytes at once, and says how many it got.
use webtask_test_guests::wasi::random::random::get_random_bytes;
use webtask_test_guests::{IncomingRequest, ResponseOutparam, answer, number, raw};

raw!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let bytes = get_random_bytes(number(&request, "n", 32));
    answer(out, &bytes.len().to_string());
}
