//! Answers `?status=` with an empty body, then works on for `?ms=` milliseconds and says so.
use webtask_test_guests::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam, number, raw,
};

raw!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let status = number(&request, "status", 200) as u16;
    let _ = response.set_status_code(status);
    let body = response.body().expect("the first time");
    ResponseOutparam::set(out, Ok(response));
    let _ = OutgoingBody::finish(body, None);
    if let ms @ 1.. = number(&request, "ms", 0) {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        println!("still alive");
    }
}
