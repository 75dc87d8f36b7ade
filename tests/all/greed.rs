//! Trap 13: guests that take what is not bounded by the time they have.

use std::time::Duration;

use webtask_tests::{SOON, TestHost, lines_of, names, wait_for_line};

use super::built::{P3, guests};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_resources_are_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.resources = 100)
        .start()
        .await;
    let token = host.token(guests::TABLE);
    let fits = host.get(&token, "/?n=10").await;
    assert_eq!(fits.status, 200, "{fits:?}");
    host.meets(&token, "/?n=100000", "guest-resources", "resources")
        .await;
}

/// Trap 13: streams, futures and tasks of 0.3 are in no table of ours, and wasmtime would hold a million.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_can_wait_for_is_bounded() {
    let host = TestHost::start().await;
    let token = host.token(guests::WAITS);
    let fits = host.get(&token, "/?n=100").await;
    assert_eq!((fits.status.as_u16(), fits.text()), (200, "100"));
    let reply = host
        .meets(&token, "/?n=100000", "guest-resources", "resources")
        .await;
    wait_for_line(reply.request_id(), "limit resources").await;
    // So are timers, of which one wait may hold any number.
    host.meets(
        &token,
        "/?n=10000&way=timers",
        "guest-resources",
        "resources",
    )
    .await;
    if !P3 {
        // A list of them lends each, also where all are the same one.
        let fits = host.get(&token, "/?n=1000&way=poll").await;
        assert_eq!((fits.status.as_u16(), fits.text()), (200, "1000"));
        host.meets(
            &token,
            "/?n=100000&way=poll",
            "guest-resources",
            "resources",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_are_bounded() {
    let host = TestHost::start().await;
    let token = host.token(guests::RANDOM);
    assert_eq!(host.get(&token, "/?n=1000").await.status, 200);
    if P3 {
        // Asked for at most so many, it gives as many as it may.
        let reply = host.refuses(&token, "/?n=100000000", "random-bytes").await;
        assert_eq!(reply.text(), "65536");
    } else {
        host.meets(&token, "/?n=100000000", "guest-random", "random-bytes")
            .await;
    }
}

/// Trap 13: a gigabyte of random, in as many calls as it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_of_all_calls_are_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.random_total = 1 << 20)
        .start()
        .await;
    let token = host.token(guests::RANDOM);
    let fits = host.get(&token, "/?n=65536&times=15").await;
    assert_eq!((fits.status.as_u16(), fits.text()), (200, "983040"));
    host.meets(
        &token,
        "/?n=65536&times=16384",
        "guest-random",
        "random-total",
    )
    .await;
}

/// Trap 13: the guest chooses how often it is denied, and the log does not grow with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denials_are_few_lines_however_often() {
    let host = TestHost::start().await;
    let reply = host.get(&host.token(guests::DENIALS), "/?n=5000").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = lines_of(reply.request_id());
    assert!(lines.len() < 40, "{} lines", lines.len());
    assert!(lines.iter().any(|line| line.contains("is not logged")));
}

/// Trap 13: ten thousand headers, and a large one. Each field counts with what the host holds for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_of_headers_is_bounded() {
    let host = TestHost::start().await;
    let token = host.token(guests::FIELDS);
    let fits = host.get(&token, "/?n=100").await;
    assert_eq!((fits.status.as_u16(), fits.text()), (200, "100"));
    for (asked, most) in [("/?n=10000", 500), ("/?n=1&size=131072", 0)] {
        if P3 {
            // WASI 0.3 has an error for it.
            let reply = host.refuses(&token, asked, "header-bytes").await;
            let taken: u32 = reply.text().parse().expect("a number");
            assert!(taken <= most, "{taken} fields of {asked}");
        } else {
            host.meets(&token, asked, "guest-headers", "header-bytes")
                .await;
        }
    }
}

/// Trap 13: what else a request holds of the guest's is bounded as its headers are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_method_and_an_authority_are_bounded() {
    let host = TestHost::start().await;
    let token = host.token(guests::FIELDS);
    for way in ["method", "authority"] {
        let fits = host.get(&token, &format!("/?way={way}&n=3&size=100")).await;
        assert_eq!((fits.status.as_u16(), fits.text()), (200, "3"), "{way}");
        let large = format!("/?way={way}&n=100&size=1000000");
        let reply = host.refuses(&token, &large, "header-bytes").await;
        assert_eq!(reply.text(), "0", "{way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_handed_over_in_one_call_is_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.hostcall_bytes = 1 << 20)
        .start()
        .await;
    let token = host.token(guests::LONGLINE);
    assert_eq!(host.get(&token, "/?bytes=1000").await.status, 200);
    host.meets(
        &token,
        "/?bytes=2000000",
        "guest-hostcall",
        "hostcall-bytes",
    )
    .await;
}

/// Trap 13: a line of ten megabytes, and a million lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_bounded_in_length_and_number() {
    let host = TestHost::builder()
        .limits(|limits| {
            limits.hostcall_bytes = 16 << 20;
            limits.log_line = 1000;
        })
        .start()
        .await;
    let token = host.token(guests::LONGLINE);
    let long = host.refuses(&token, "/?bytes=3000", "log-line").await;
    let record = wait_for_line(long.request_id(), "~~~").await;
    assert!(record.contains('…') && record.len() < 2000, "{record}");
    let huge = host.refuses(&token, "/?bytes=10000000", "log-bytes").await;
    wait_for_line(huge.request_id(), "log cut").await;
    let many = host
        .refuses(&token, "/?bytes=1&times=1000000", "log-lines")
        .await;
    let lines = lines_of(many.request_id()).len();
    assert!((1000..1010).contains(&lines), "{lines} lines");
    // On standard output a long line becomes several.
    let token = host.token(guests::STDOUT);
    let split = host
        .refuses(&token, "/?lines=1&size=2500", "log-line")
        .await;
    let lines = lines_of(split.request_id());
    let pieces = lines.iter().filter(|line| line.contains("~~~")).count();
    assert_eq!(pieces, 3, "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stack_is_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.stack = 64 << 10)
        .start()
        .await;
    host.meets(&host.token(guests::RECURSE), "/", "guest-stack", "stack")
        .await;
}

/// Trap 13: what is written and never read waits, and is not kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_never_drained_meets_the_deadline() {
    let host = TestHost::builder()
        .limits(|limits| limits.wall = Duration::from_millis(500))
        .start()
        .await;
    let token = host.token(guests::UNDRAINED);
    let reply = host.meets(&token, "/", "guest-deadline", "wall").await;
    assert!(reply.took < SOON, "{:?}", reply.took);
}

/// A program may exit; a webtask that does has answered nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_is_a_trap() {
    let host = TestHost::start().await;
    let token = host.token(guests::EXIT);
    for code in [0, 1] {
        let reply = host.get(&token, &format!("/?code={code}")).await;
        assert_eq!(reply.code(), "guest-trap", "{code}");
        wait_for_line(
            reply.request_id(),
            &format!("the guest called exit({code})"),
        )
        .await;
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert_eq!(names(&record), [""; 0], "{record}");
    }
}

/// Trap 9: filling and copying memory is one instruction, and a loop of them is interrupted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_9_loops_over_all_of_the_memory_are_interrupted() {
    let host = TestHost::builder()
        .limits(|limits| limits.cpu = Duration::from_millis(200))
        .start()
        .await;
    let token = host.token(guests::FILL);
    let reply = host.meets(&token, "/", "guest-cpu", "cpu").await;
    assert!(reply.took < SOON, "{:?}", reply.took);
}
