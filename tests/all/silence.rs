//! Trap 12: guests that do not read, and go on when nobody reads them.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty, Full};
use webtask_tests::{SOON, TestHost, exchange, names, wait_for_line};

use super::built::{examples, guests};

const MEGABYTE: usize = 1 << 20;

fn upload(token: String, bytes: usize) -> Request<Full<Bytes>> {
    Request::post("/run")
        .header("webtask-token", token)
        .body(Full::new(Bytes::from(vec![b'x'; bytes])))
        .expect("a request")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_12_a_guest_need_not_read_its_request() {
    let host = TestHost::start().await;
    let reply = host
        .send(upload(host.token(examples::HELLO), 4 * MEGABYTE))
        .await;
    assert!(reply.status == 200 && reply.whole, "{reply:?}");
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert!(record.contains("code=\"ok\""), "{record}");
    host.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_12_a_guest_that_reads_a_piece_an_hour_meets_the_deadline() {
    let host = TestHost::builder()
        .limits(|limits| limits.wall = Duration::from_millis(500))
        .start()
        .await;
    let reply = host
        .send(upload(host.token(guests::SIP), 4 * MEGABYTE))
        .await;
    assert_eq!(reply.code(), "guest-deadline", "{reply:?}");
    assert!(reply.took < SOON, "{:?}", reply.took);
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert_eq!(names(&record), ["wall"], "{record}");
    host.serves().await;
}

/// The guest writes on, and its caller has left in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_12_what_is_written_after_the_caller_left_ends_the_run() {
    let host = TestHost::builder()
        .limits(|limits| limits.invocations = 1)
        .start()
        .await;
    let request = Request::get("/run/?bytes=60000000")
        .header("host", "x")
        .header("webtask-token", host.token(guests::BIGRESPONSE))
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let mut reply = exchange(host.address, request).await;
    let id = reply.headers()["webtask-request-id"].clone();
    let id = id.to_str().expect("text").to_owned();
    let first = reply.body_mut().frame().await;
    assert!(first.is_some_and(|frame| frame.is_ok()), "it has begun");
    drop(reply);
    let record = wait_for_line(&id, "webtask::access").await;
    assert!(record.contains("code=\"caller-left\""), "{record}");
    // The only place is free.
    host.serves().await;
}
