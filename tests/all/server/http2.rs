//! HTTP/2 on the listener: what works, and what floods it.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use webtask_tests::{
    Http2, SOON, TestHost, examples,
    frames::{END_HEADERS, END_STREAM, Frames, frame, head, kind},
    guests, p3, wait_for_line,
};

/// Many streams of one connection, the slow beside the fast, over both generations of WASI.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_carries_streams_side_by_side() {
    let host = TestHost::start().await;
    let caller = Http2::connect(host.address).await;
    let parked = host.token(guests::PARK);
    let parked = caller.post(&parked, "/run", "");
    let mut parked = std::pin::pin!(parked);
    let mut echoes = tokio::task::JoinSet::new();
    for number in 0..32_u8 {
        let guest = if number % 2 == 0 {
            guests::ECHO
        } else {
            p3::guests::ECHO
        };
        let (caller, token) = (caller.clone(), host.token(guest));
        let body = vec![number; 100_000 + usize::from(number)];
        echoes.spawn(async move {
            let reply = caller.post(&token, "/run", body.clone()).await;
            assert!(reply.status == 200 && reply.whole, "{}", reply.status);
            assert!(reply.body == body, "{number}: {}", reply.body.len());
        });
    }
    let all = async {
        while let Some(echo) = echoes.join_next().await {
            echo.expect("an echo")
        }
    };
    tokio::select! {
        reply = &mut parked => panic!("nothing wakes it: {reply:?}"),
        () = all => {}
    }
}

/// What the guest sees is the same request, of one host, with its cookies in one field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_sees_an_http_2_request_as_any_other() {
    let host = TestHost::start().await;
    let caller = Http2::connect(host.address).await;
    for guest in [guests::REFLECT, p3::guests::REFLECT] {
        // The scheme is the connection's, whatever the request says.
        let request = Request::get("https://host.example/run/a?b=c")
            .header("webtask-token", host.token(guest))
            .header("cookie", "d=e")
            .header("cookie", "f=g")
            .body(Full::<Bytes>::default());
        let reply = caller.send(request.expect("a request")).await;
        assert_eq!(
            reply.json()["uri"],
            "http://host.example/a?b=c",
            "{reply:?}"
        );
        assert!(reply.text().contains("d=e; f=g"), "{reply:?}");
    }
    let two = Request::get("http://host.example/run")
        .header("host", "other.example")
        .header("webtask-token", host.token(guests::REFLECT))
        .body(Full::<Bytes>::default());
    let reply = caller.send(two.expect("a request")).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (400, "bad-request")
    );
}

/// Trap 11 over HTTP/2: the stream is reset, and the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_headless_resets_its_stream_and_no_other() {
    let host = TestHost::start().await;
    let caller = Http2::connect(host.address).await;
    for guest in [guests::HEADLESS, p3::guests::HEADLESS] {
        let request = Request::get("http://x/run/?ms=200")
            .header("webtask-token", host.token(guest))
            .body(Full::<Bytes>::default());
        let response = caller.begin(request.expect("a request")).await;
        let response = response.expect("a head");
        assert_eq!(response.status(), 200);
        let error = response
            .into_body()
            .collect()
            .await
            .expect_err("half an answer");
        let reset = std::error::Error::source(&error).map(ToString::to_string);
        assert!(
            reset.is_some_and(|reset| reset.contains("reset") || reset.contains("stream error")),
            "{error:?}"
        );
        let hello = caller.post(&host.token(examples::HELLO), "/run", "").await;
        assert!(hello.status == 200 && hello.whole, "{hello:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_at_the_same_time_are_bounded() {
    let host = TestHost::builder()
        .limits(|limits| limits.streams = 3)
        .start()
        .await;
    let token = host.token(guests::PARK);
    let mut peer = Frames::connect(host.address, &[]).await;
    let settings = peer.next_of(kind::SETTINGS).await.payload;
    let said = settings
        .chunks(6)
        .any(|setting| setting == [0, 3, 0, 0, 0, 3]);
    assert!(said, "MAX_CONCURRENT_STREAMS is told: {settings:?}");
    for stream in [1, 3, 5, 7] {
        assert!(peer.get(stream, "/run", &[("webtask-token", &token)]).await);
    }
    let reset = peer.next_of(kind::RST_STREAM).await;
    // REFUSED_STREAM: nothing of it was done, and it may be sent again.
    assert_eq!((reset.stream, reset.payload), (7, vec![0, 0, 0, 7]));
}

/// By number the host says so itself, by size hyper does; and nobody has to listen without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_header_fields_are_refused() {
    let host = TestHost::start().await;
    let caller = Http2::connect(host.address).await;
    let with = |number: usize| {
        let mut request = Request::get("http://x/run");
        for index in 0..number {
            request = request.header(format!("x-{index}"), "y");
        }
        request.body(Full::<Bytes>::default()).expect("a request")
    };
    let reply = caller.send(with(100)).await;
    assert_eq!(reply.code(), "token-missing");
    let reply = caller.send(with(101)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (431, "header-fields")
    );
    wait_for_line(reply.request_id(), "the limit header-fields").await;

    // CONTINUATION without end.
    let mut peer = Frames::connect(host.address, &[]).await;
    let piece = head("GET", "/run", &[("x", &"y".repeat(16_000))]);
    assert!(peer.send(kind::HEADERS, END_STREAM, 1, &piece).await);
    let flood = async {
        for _ in 0..1_000_000 {
            if !peer.send(kind::CONTINUATION, 0, 1, &piece[40..]).await {
                return;
            }
        }
        panic!("16 GB of one head were read");
    };
    tokio::time::timeout(SOON * 2, flood)
        .await
        .expect("the host ends it");
    let hello = host.get(&host.token(examples::HELLO), "").await;
    assert_eq!(hello.status, 200);
}

/// A request and its reset, again and again: others are served, and runs are not more than places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_22_rapid_resets_stop_nobody() {
    let host = TestHost::start().await;
    let (park, hello) = (host.token(guests::PARK), host.token(examples::HELLO));
    let cancel = 8_u32.to_be_bytes();
    let mut floods = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (address, park) = (host.address, park.clone());
        // One connection after the other, for as long as others are served.
        floods.spawn(async move {
            loop {
                let mut peer = Frames::connect(address, &[]).await;
                for stream in (1..20_000).step_by(2) {
                    let head = head("GET", "/run", &[("webtask-token", &park)]);
                    let flags = END_STREAM | END_HEADERS;
                    let mut both = frame(kind::HEADERS, flags, stream, &head);
                    both.extend(frame(kind::RST_STREAM, 0, stream, &cancel));
                    if !peer.write(&both).await {
                        break;
                    }
                }
            }
        });
    }
    for _ in 0..20 {
        let reply = host.get(&hello, "").await;
        // All places may be taken for a moment.
        assert!([200, 503].contains(&reply.status.as_u16()), "{reply:?}");
    }
    floods.shutdown().await;
    // What was reset is gone: every place is free again.
    let freed = async { while host.get(&hello, "").await.status != 200 {} };
    tokio::time::timeout(SOON, freed)
        .await
        .expect("places come free");
}

/// The time of a peer that takes nothing is its own stream's: others of the connection go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_22_a_window_that_never_opens_is_given_up() {
    let host = TestHost::builder()
        .limits(|limits| {
            limits.stall = Duration::from_secs(2);
            limits.invocations = 1;
        })
        .start()
        .await;
    let token = host.token(guests::BIGRESPONSE);
    // SETTINGS_INITIAL_WINDOW_SIZE: nothing, or a byte.
    for window in [0, 1] {
        let mut peer = Frames::connect(host.address, &[(4, window)]).await;
        assert!(
            peer.get(1, "/run/?bytes=3000", &[("webtask-token", &token)])
                .await
        );
        let mut data = 0;
        let reset = loop {
            let frame = peer.next().await.expect("the connection goes on");
            match frame.kind {
                kind::HEADERS => assert_eq!((frame.stream, frame.flags), (1, END_HEADERS)),
                kind::DATA => data += frame.payload.len(),
                kind::PING if frame.flags == 0 => {
                    assert!(peer.send(kind::PING, 1, 0, &frame.payload).await);
                }
                kind::RST_STREAM => break frame,
                _ => {}
            }
        };
        assert_eq!((reset.stream, data), (1, window as usize));
        // The connection still answers, and the run's place is free.
        assert!(peer.send(kind::PING, 0, 0, b"are you?").await);
        // Among the host's own.
        while peer.next_of(kind::PING).await.payload != b"are you?" {}
        let reply = host.get(&host.token(examples::HELLO), "").await;
        assert_eq!(reply.status, 200);
    }
}
