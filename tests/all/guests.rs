//! Guests that misbehave, and what a guest sees of the world.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use webtask_tests::{SOON, TestHost, claims_for, exchange, lines_of, wait_for_line};

use super::built::{P3, examples, guests};

const WALL: Duration = Duration::from_millis(500);

async fn impatient() -> TestHost {
    TestHost::builder()
        .limits(|limits| limits.wall = WALL)
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hello_answers_and_says_who_it_is() {
    let host = TestHost::start().await;
    let reply = host.get(&host.token(examples::HELLO), "/world").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.headers["webtask-source"], "guest");
    assert!(
        reply.text().to_lowercase().contains("hello"),
        "{}",
        reply.text()
    );
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert!(
        record.contains("code=\"ok\"") && record.contains("status=200"),
        "{record}"
    );
    assert!(
        !record.contains("memory=0") && !record.contains("cpu_us=0"),
        "{record}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_is_a_500_and_the_log_has_the_panic() {
    let host = impatient().await;
    let reply = host.get(&host.token(guests::TRAP), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (500, "guest-trap")
    );
    assert!(
        !reply.text().contains("guest says no"),
        "nothing from inside goes to the caller"
    );
    wait_for_line(reply.request_id(), "guest says no").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_is_a_500() {
    let host = impatient().await;
    let reply = host.get(&host.token(guests::SILENT), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        // A task of 0.3 cannot end without a response, and one that waits for nothing is a trap.
        (
            500,
            if P3 {
                "guest-trap"
            } else {
                "guest-no-response"
            }
        )
    );
}

/// Trap 10: epochs never wake a guest that waits in the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_10_park_meets_the_deadline() {
    let host = impatient().await;
    let reply = host.get(&host.token(guests::PARK), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (504, "guest-deadline")
    );
    assert!((WALL..SOON).contains(&reply.took), "{:?}", reply.took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_9_spin_meets_the_deadline() {
    let host = impatient().await;
    let reply = host.get(&host.token(guests::SPIN), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (504, "guest-deadline")
    );
    assert!((WALL..SOON).contains(&reply.took), "{:?}", reply.took);
}

/// Trap 9: spinning guests on every worker, and a third request beside them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_9_others_are_served_beside_spinning_guests() {
    let host = TestHost::builder()
        .limits(|limits| limits.wall = Duration::from_secs(3))
        .start()
        .await;
    let (spin, hello) = (host.token(guests::SPIN), host.token(examples::HELLO));
    // Compiled beforehand, so that only the guests are measured.
    assert_eq!(host.get(&hello, "/").await.status, 200);
    let spinning = async { tokio::join!(host.get(&spin, "/"), host.get(&spin, "/")) };
    let beside = async {
        let mut times = Vec::new();
        for _ in 0..20 {
            let reply = host.get(&hello, "/").await;
            assert_eq!(reply.status, 200);
            times.push(reply.took);
        }
        times.sort();
        times[times.len() / 2]
    };
    let ((a, b), median) = tokio::join!(spinning, beside);
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (504, 504));
    println!("median beside two spinning guests: {median:?}");
    // The starving form of yielding took 621 ms; a generous bound for a busy machine.
    assert!(median < Duration::from_millis(400), "{median:?}");
}

/// Trap 11: a guest that fails after its head went out must not end as a well-formed answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_headless_breaks_the_connection() {
    let host = TestHost::start().await;
    let reply = host.get(&host.token(guests::HEADLESS), "/?ms=200").await;
    assert_eq!(reply.status, 200);
    assert!(
        !reply.whole,
        "a truncated body must not end well: {reply:?}"
    );
    assert_eq!(&reply.body[..], b"half of ");
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert!(record.contains("code=\"guest-trap\""), "{record}");
}

/// Trap 11, where nothing was sent yet: an error says more than half an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_headless_before_anything_is_sent_is_a_500() {
    let host = TestHost::start().await;
    let token = host.token(guests::HEADLESS);
    let mut before = false;
    // A tick between the chunk and the panic sends the chunk: never a whole answer, and now and then half.
    for _ in 0..20 {
        let reply = host.get(&token, "/").await;
        before = reply.status == 500;
        if before {
            assert_eq!(reply.code(), "guest-trap");
            break;
        }
        // The head may be out without it.
        let begun = b"half of ".starts_with(&reply.body);
        assert!(!reply.whole && begun, "{reply:?}");
    }
    // A guest of 0.3 learns that its chunk was taken, so it is out.
    assert_eq!(before, !P3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recursion_is_a_trap() {
    let host = impatient().await;
    let reply = host.get(&host.token(guests::RECURSE), "/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        // Rust's own stack, in its memory, ends before that of the host does: `the_stack_is_bounded`.
        (500, "guest-trap")
    );
}

/// What is linked because `std` imports it is empty and denied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_ambient() {
    let host = TestHost::start().await;
    let reply = host.get(&host.token(guests::FILES), "/").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen = reply.json();
    for power in [
        "read", "write", "list", "connect", "listen", "udp", "resolve",
    ] {
        let said = seen[power].as_str().expect("text");
        assert!(said.starts_with("error: "), "{power}: {said}");
    }
    assert_eq!(seen["stdin"], "0 bytes", "{seen}");
    assert_eq!(
        (&seen["args"], &seen["env"]),
        (&0.into(), &0.into()),
        "{seen}"
    );
    assert!(!reply.text().contains("root:"), "{}", reply.text());
    if P3 {
        let seen = &seen["newer"];
        for power in ["connect", "listen", "udp", "resolve"] {
            let said = seen[power].as_str().expect("text");
            assert!(said.starts_with("error: "), "{power}: {said}");
        }
        for power in ["stdin", "args", "env", "directories"] {
            assert_eq!(seen[power], 0, "{power}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_sees_its_request_its_parameters_and_never_its_token() {
    let host = TestHost::start().await;
    let mut claims = claims_for(guests::REFLECT);
    claims.tenant = "acme".into();
    claims.params.insert("GREETING".into(), "hi".into());
    let token = host.seal(&claims);
    let reply = host.get(&token, "/a/b?c=d").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let seen = reply.json();
    assert_eq!(seen["path_and_query"], "/a/b?c=d", "{seen}");
    assert_eq!(seen["tenant"], "acme");
    assert_eq!(seen["request_id"], reply.request_id());
    assert!(
        reply.text().contains("GREETING") && reply.text().contains("hi"),
        "{seen}"
    );
    assert!(!reply.text().contains("wt1."), "{seen}");
    assert!(!reply.text().contains("webtask-token"), "{seen}");
    assert_eq!(seen["token_id"].as_str().map(str::len), Some(32));
}

/// A guest cannot speak for the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_cannot_set_the_hosts_fields() {
    let host = TestHost::start().await;
    let reply = host.get(&host.token(guests::HEADERS), "/").await;
    assert_eq!(reply.headers["webtask-source"], "guest");
    assert_ne!(reply.request_id(), "x");
    assert_eq!(reply.headers.get_all("webtask-source").iter().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_log_has_the_requests_id_and_cannot_forge_a_line() {
    let host = TestHost::start().await;
    let reply = host.get(&host.token(guests::LOGGER), "/").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = webtask_tests::lines_of(reply.request_id());
    let text = lines.join("\n");
    for level in ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"] {
        assert!(
            lines
                .iter()
                .any(|line| line.contains(level) && line.contains("webtask::guest")),
            "{level} in {text}"
        );
    }
    assert!(text.contains("stdout") && text.contains("stderr"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    // A field that the guest wrote into its text stays inside the quotes of its text.
    let forged = lines
        .iter()
        .find(|line| line.contains("tenant=victim"))
        .expect("the guest tried");
    assert!(forged.contains("tenant=\"default\""), "{forged}");
    assert!(!forged.contains(" tenant=\"victim\""), "{forged}");
}

/// 1xx is no answer, and 101 would make a tunnel of the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_status_is_a_final_one() {
    let host = TestHost::start().await;
    let token = host.token(guests::STATUS);
    for status in [100, 101, 103, 199, 600, 999] {
        let reply = host.get(&token, &format!("/?status={status}")).await;
        assert_eq!(reply.code(), "guest-error", "{status}");
    }
    for status in [200, 204, 304, 404, 500, 599] {
        let reply = host.get(&token, &format!("/?status={status}")).await;
        assert_eq!(
            (
                reply.status.as_u16(),
                reply.headers["webtask-source"].as_bytes()
            ),
            (status, &b"guest"[..])
        );
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert!(record.contains("code=\"ok\""), "{record}");
    }
}

/// The response to a HEAD has no body, and the guest runs to its end all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_request_does_not_cut_the_guest() {
    let host = TestHost::start().await;
    let token = host.token(guests::STATUS);
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 200)] {
        let request = Request::builder()
            .method(method)
            .uri(format!("/run/?status={status}&ms=300"))
            .header("webtask-token", &token);
        let reply = host
            .send(request.body(Empty::<Bytes>::new()).expect("a request"))
            .await;
        assert_eq!(reply.status, status);
        wait_for_line(reply.request_id(), "still alive").await;
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert!(record.contains("code=\"ok\""), "{record}");
    }
}

/// What a guest does after its response is bounded like all it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_after_the_response_meets_the_deadline() {
    let host = TestHost::builder()
        .limits(|limits| (limits.wall, limits.invocations) = (WALL, 1))
        .start()
        .await;
    let request =
        Request::head("/run/?ms=60000").header("webtask-token", host.token(guests::STATUS));
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let reply = host.send(request).await;
    assert_eq!(reply.status, 200);
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert!(record.contains("code=\"guest-deadline\""), "{record}");
    // And its place is free again.
    let reply = host.get(&host.token(examples::HELLO), "/").await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Trap 14: WASI 0.3 would let one instance serve many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_14_no_instance_serves_two_requests() {
    let host = TestHost::start().await;
    let token = host.token(guests::COUNTER);
    assert_eq!(host.get(&token, "/").await.text(), "1");
    for _ in 0..5 {
        let at_once = tokio::join!(
            host.get(&token, "/"),
            host.get(&token, "/"),
            host.get(&token, "/")
        );
        for reply in <[_; 3]>::from(at_once) {
            assert_eq!(reply.text(), "1");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_finishes_what_runs() {
    let host = TestHost::start().await;
    let (token, address) = (host.token(guests::SLOWBODY), host.address);
    let request = Request::get("/run/?n=5&ms=100")
        .header("host", "x")
        .header("webtask-token", token)
        .body(Empty::<Bytes>::new())
        .expect("a request");
    // The head is here: the run is under way, and half a second from its end.
    let reply = exchange(address, request).await;
    let (stopped, body) = tokio::join!(host.stop(), reply.into_body().collect());
    let () = stopped;
    let body = body.expect("a whole body").to_bytes();
    assert!(body.ends_with(b"chunk 4\n"), "{body:?}");
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "a stopped host accepts no more"
    );
}

/// Trailers are an end to HTTP, and none to the run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_a_run_that_fails_after_its_trailers_ends_no_better() {
    let host = TestHost::start().await;
    let token = host.token(guests::TRAILERS);
    for _ in 0..5 {
        let reply = host.get(&token, "/").await;
        assert!(reply.status == 500 || !reply.whole, "{reply:?}");
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert!(record.contains("code=\"guest-trap\""), "{record}");
    }
}

/// The caller has its whole answer and has gone, and the guest is still at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_waits_for_work_after_the_response() {
    let host = TestHost::start().await;
    let request =
        Request::head("/run/?ms=1000").header("webtask-token", host.token(guests::STATUS));
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let reply = host.send(request).await;
    assert_eq!(reply.status, 200);
    host.stop().await;
    let lines = lines_of(reply.request_id()).concat();
    assert!(lines.contains("still alive"), "{lines}");
}
