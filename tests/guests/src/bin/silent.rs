//! Returns without a response.
use webtask_test_guests::{IncomingRequest, ResponseOutparam, raw};

raw!(handle);

fn handle(_: IncomingRequest, out: ResponseOutparam) {
    drop(out);
}
