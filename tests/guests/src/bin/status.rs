//! Answers `?status=` with an empty body, then works on for `?ms=` milliseconds and says so.
use webtask_test_guests::{path, query_number, raw};

fn asked(path: &str) -> (u16, u64) {
    let status = query_number(path, "status", 200) as u16;
    (status, query_number(path, "ms", 0))
}

#[cfg(not(feature = "p3"))]
raw!(|request, out| {
    use webtask_test_guests::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam};
    let (status, ms) = asked(&path(&request));
    let response = OutgoingResponse::new(Fields::new());
    let _ = response.set_status_code(status);
    let body = response.body().expect("the first time");
    ResponseOutparam::set(out, Ok(response));
    let _ = OutgoingBody::finish(body, None);
    work_on(ms);
});

#[cfg(feature = "p3")]
raw!(async |request| {
    let (status, ms) = asked(&path(&request));
    let response = webtask_test_guests::response(&[], String::new());
    let refused = webtask_test_guests::ErrorCode::InternalError(None);
    response.set_status_code(status).map_err(|()| refused)?;
    drop(webtask::__private::spawn_local(async move {
        webtask::sleep(std::time::Duration::from_millis(ms.min(1))).await;
        work_on(ms);
    }));
    Ok(response)
});

fn work_on(ms: u64) {
    if ms > 0 {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        println!("still alive");
    }
}
