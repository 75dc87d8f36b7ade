//! Outbound exchanges that go wrong: each is bounded, typed for the guest, and has a reason in the log.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use webtask_tests::{
    Authority, Dns, Origin, Reply, SOON, TestHost, claims_for, policy_with, wait_for_line,
};
use webtask_token::{Secret, SecretClaim};

use super::built::{P3, guests};

/// How a body ends that is larger than allowed: 0.2 has no code for failures in the middle of one.
const CUT: &str = match P3 {
    false => "502: HTTP response body size exceeds limit",
    true => "HTTP-response-body-size",
};

/// An origin that writes these bytes for each request, and then keeps silent or closes.
struct Raw {
    url: String,
    served: JoinHandle<()>,
}

#[derive(Clone, Copy)]
enum Then {
    Close,
    Wait,
}

impl Raw {
    async fn start(answer: impl Into<Bytes>, then: Then) -> Self {
        let answer = answer.into();
        Self::serve(move |mut stream| {
            let answer = answer.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = stream.write_all(&answer).await;
                if matches!(then, Then::Wait) {
                    std::future::pending::<()>().await;
                }
            }
        })
        .await
    }

    async fn serve<F: Future<Output = ()> + Send>(
        connection: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let served = tokio::spawn(async move {
            // One at a time: no test needs more.
            while let Ok((stream, _)) = listener.accept().await {
                connection(stream).await;
            }
        });
        Self { url, served }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// What the guest `wasm` says, after a call that its token grants.
async fn call(host: &TestHost, wasm: &str, how: &str, url: &str) -> Reply {
    let token = host.token_with_grants(wasm, &[&format!("* {url}")]);
    let reply = host.get(&token, &format!("/?{how}&url={url}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

async fn loopback() -> TestHost {
    TestHost::builder().loopback().start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_origin_sends_is_bounded() {
    let host = loopback().await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    for head in [long, many] {
        let origin = Raw::start(head, Then::Wait).await;
        let reply = call(&host, guests::CALLS, "n=1", &origin.url).await;
        assert_eq!(reply.text(), "HTTP-response-header-section-size");
    }
    // Over HTTP/2 there is no code for it: the stream is reset.
    let authority = Authority::new();
    let origin = Origin::tls(authority.acceptor("127.0.0.1", &["h2"]), |_| {
        let mut response = Response::default();
        for n in 0..30 {
            let value = "a".repeat(10_000).parse().expect("a value");
            let name = http::HeaderName::try_from(format!("x-{n}"));
            response.headers_mut().insert(name.expect("a name"), value);
        }
        response
    });
    let origin = origin.await;
    let trusting = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let reply = call(&trusting, guests::CALLS, "n=1", &origin.url("/")).await;
    assert_eq!(reply.text(), "connection-terminated");

    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.outbound_bytes = 1 << 20)
        .start()
        .await;
    let origin = Origin::start(|seen| Response::new(vec![0; seen.path.len() << 17].into())).await;
    for (path, said) in [("/234567", "200 917504"), ("/23456789", CUT)] {
        let reply = call(&host, guests::CALLS, "n=1", &origin.url(path)).await;
        assert_eq!(reply.text(), said);
    }
}

/// 1xx is no answer: what informs is left out, what would change the protocol is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn informational_responses_are_not_passed() {
    let host = loopback().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n\
        HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let origin = Raw::start(hints, Then::Wait).await;
    let reply = call(&host, guests::OUTBOUND, "method=GET", &origin.url).await;
    let said = reply.json();
    assert_eq!(
        (&said["status"], &said["body"]),
        (&200.into(), &"ok".into()),
        "{said}"
    );
    assert!(!said["headers"].to_string().contains("link"), "{said}");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    let origin = Raw::start(switch, Then::Wait).await;
    let reply = call(&host, guests::CALLS, "n=1", &origin.url).await;
    assert_eq!(reply.text(), "HTTP-protocol-error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_keeps_the_guest_waiting_is_given_up() {
    let host = loopback().await;
    for (head, how, said) in [
        ("", "first=200", "ErrorCode::ConnectionReadTimeout"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegin",
            "between=200",
            match P3 {
                false => "connection read timeout",
                true => "ErrorCode::ConnectionReadTimeout",
            },
        ),
    ] {
        let origin = Raw::start(head, Then::Wait).await;
        let reply = call(&host, guests::HASTY, how, &origin.url).await;
        assert_eq!(reply.text(), said);
        assert!(reply.took < SOON, "{:?}", reply.took);
    }
}

/// Trap 13, outbound: however many calls it takes, up or down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_all_calls_together_are_bounded() {
    let origin = Origin::start(|seen| Response::new(vec![0; 100_000 * seen.path.len()].into()));
    let origin = origin.await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.outbound_total = 1_000_000)
        .start()
        .await;
    let down = call(&host, guests::CALLS, "n=20", &origin.url("/23")).await;
    let lines: Vec<_> = down.text().lines().collect();
    assert_eq!(lines[..4], ["200 300000", "200 300000", "200 300000", CUT]);
    assert!(lines[4..].iter().all(|line| *line == CUT), "{lines:?}");
    let record = wait_for_line(down.request_id(), "webtask::access").await;
    assert!(
        record.contains(" calls=20 ") && record.contains(" out_sent=0 "),
        "{record}"
    );
    wait_for_line(down.request_id(), "limit outbound-total").await;

    let before = origin.seen().len();
    let up = call(&host, guests::CALLS, "n=20&up=300000", &origin.url("/")).await;
    let lines: Vec<_> = up.text().lines().collect();
    assert_eq!(lines[..2], ["200 100000", "200 100000"]);
    assert!(
        lines[3..].iter().all(|line| !line.starts_with("200")),
        "{lines:?}"
    );
    let whole = origin.seen()[before..]
        .iter()
        .filter(|seen| seen.body.len() == 300_000)
        .count();
    assert!(whole <= 3, "{whole}");
    let small = call(&host, guests::CALLS, "n=2&up=1000", &origin.url("/")).await;
    let record = wait_for_line(small.request_id(), "webtask::access").await;
    let counted = " calls=2 out_received=200000 out_sent=2000 ";
    assert!(record.contains(counted), "{record}");
}

/// An origin that closes its connections after each answer, and says nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_origin_closed_is_replaced() {
    let host = loopback().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let origin = Raw::serve(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            stream.write_all(answer).await.expect("an answer is taken");
            stream.shutdown().await.expect("a socket");
            // The host has noticed when it closes its own side.
            let _ = stream.read(&mut head).await;
            let _ = tell.send(());
        }
    })
    .await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {}", origin.url)]);
    for _ in 0..10 {
        let reply = host.get(&token, &format!("/?n=1&url={}", origin.url)).await;
        assert_eq!(reply.text(), "200 2");
        told.recv().await.expect("the connection ends");
    }
}

/// A reset stream is an error of its own call; a goodbye lets what is under way finish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_resets_and_goodbyes_are_typed() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let origin = Raw::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.expect("TLS");
            let service = service_fn(|request: Request<Incoming>| async move {
                match request.uri().path() {
                    // hyper resets the stream of a service that fails.
                    "/reset" => Err("reset"),
                    _ => Ok(Response::new(Full::new(Bytes::from_static(b"ok")))),
                }
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        }
    })
    .await;
    let url = origin.url.replace("http:", "https:");
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {url}*")]);
    let get = async |how: String| host.get(&token, &how).await.text().to_owned();
    assert_eq!(
        get(format!("/?n=1&url={url}reset")).await,
        "connection-terminated"
    );
    // Over the same connection, through its goodbye, and over the next one.
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(1_200) {
        assert_eq!(
            get(format!("/?n=4&wide=4&url={url}")).await,
            ["200 2"; 4].join("\n")
        );
    }
}

/// An HTTP/2 origin takes no more of an upload: with the caller, the stream ends all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_nobody_takes_ends_with_the_caller() {
    /// Says when hyper gives up an exchange.
    struct Ended(tokio::sync::mpsc::UnboundedSender<&'static str>);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.send("ended");
        }
    }
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let origin = Raw::serve(move |stream| {
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        async move {
            let stream = acceptor.accept(stream).await.expect("TLS");
            let service = service_fn(|request: Request<Incoming>| {
                let _ = tell.send("began");
                let ended = Ended(tell.clone());
                async move {
                    std::future::pending::<()>().await;
                    drop((ended, request));
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
    let url = origin.url.replace("http:", "https:");
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {url}")]);
    let path = format!("/?n=1&up=8000000&url={url}");
    let mut caller = Box::pin(host.get(&token, &path));
    tokio::select! {
        reply = &mut caller => panic!("nobody answered: {reply:?}"),
        began = told.recv() => assert_eq!(began, Some("began")),
    }
    drop(caller);
    let ended = tokio::time::timeout(SOON, told.recv()).await;
    assert_eq!(ended, Ok(Some("ended")));
}

/// README.md lists every reason of the code, and each of them happens here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_listed_and_has_a_case() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path| std::fs::read_to_string(root.join(path)).expect("a file");
    let source = read("host/src/capability/http/reason.rs");
    let in_code: BTreeSet<_> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""))
        .filter_map(|(_, name)| name.strip_suffix("\","))
        .map(str::to_owned)
        .collect();
    let readme = read("README.md");
    let table = readme.split_once("| `reason=` |").expect("the table").1;
    let in_readme: BTreeSet<_> = table
        .lines()
        .skip(2)
        .map_while(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert!(in_code.len() > 15);
    assert_eq!(in_code, in_readme);

    let mut seen = BTreeSet::new();
    let mut saw = async |reason: &str, reply: Reply| {
        wait_for_line(reply.request_id(), &format!("\"reason={reason}; ")).await;
        assert!(seen.insert(reason.to_owned()));
    };
    let authority = Authority::new();
    let secure = Origin::tls(authority.acceptor("127.0.0.1", &["h2"]), |_| {
        Response::default()
    });
    let secure = secure.await;
    let plain = Origin::start(|_| Response::new(vec![0; 1_000].into())).await;
    let dns = Dns::start(|name, _| (name != "silent.test").then(Vec::new)).await;
    let host = TestHost::builder().loopback().dns(&dns).start().await;
    let tight = TestHost::builder()
        .loopback()
        .dns(&dns)
        .limits(|limits| {
            limits.concurrent_calls = 1;
            limits.connect = Duration::from_millis(200);
            limits.outbound_bytes = 10;
        })
        .start()
        .await;
    let few = TestHost::builder()
        .loopback()
        .limits(|limits| (limits.calls, limits.outbound_total) = (1, 10))
        .start()
        .await;
    let url = plain.url("/");
    let gone = Origin::start(|_| Response::default()).await.url("/");
    let other = format!("https://{}/", plain.address);
    let user = format!("http://user@{}/", plain.address);

    let token = host.token(guests::CALLS);
    saw(
        "no-grant",
        host.get(&token, &format!("/?n=1&url={url}")).await,
    )
    .await;
    saw(
        "method",
        call(&host, guests::OUTBOUND, "method=TRACE", &url).await,
    )
    .await;
    let closed = policy_with("import wasi:http/outgoing-handler@0.2.12;");
    let ruled = TestHost::builder().policy(&closed).start().await;
    saw("policy", call(&ruled, guests::CALLS, "n=1", &url).await).await;
    let token = host.token_with_grants(guests::OUTBOUND, &[&format!("* {url}")]);
    saw(
        "url",
        host.get(&token, &format!("/?method=GET&url={user}")).await,
    )
    .await;
    saw(
        "calls-used-up",
        call(&few, guests::CALLS, "n=2&way=head", &url).await,
    )
    .await;
    saw(
        "bytes-used-up",
        call(&few, guests::CALLS, "n=1", &url).await,
    )
    .await;
    saw(
        "too-many-calls",
        call(&tight, guests::CALLS, "n=2&wide=2", &url).await,
    )
    .await;
    saw(
        "response-too-large",
        call(&tight, guests::CALLS, "n=1", &url).await,
    )
    .await;
    let inside = "http://169.254.169.254/";
    saw(
        "private-address",
        call(&host, guests::CALLS, "n=1", inside).await,
    )
    .await;
    let (unknown, silent) = ("http://unknown.test/", "http://silent.test/");
    saw(
        "name-unknown",
        call(&host, guests::CALLS, "n=1", unknown).await,
    )
    .await;
    saw(
        "name-timeout",
        call(&host, guests::CALLS, "n=1", silent).await,
    )
    .await;
    saw(
        "connect-timeout",
        call(&tight, guests::CALLS, "n=1", silent).await,
    )
    .await;
    saw(
        "connect-failed",
        call(&host, guests::CALLS, "n=1", &gone).await,
    )
    .await;
    saw(
        "certificate",
        call(&host, guests::CALLS, "n=1", &secure.url("/")).await,
    )
    .await;
    saw("tls", call(&host, guests::CALLS, "n=1", &other).await).await;
    let abandon = "n=1&up=100000&way=abandon";
    saw(
        "request-unfinished",
        call(&host, guests::CALLS, abandon, &url).await,
    )
    .await;
    for (reason, guest, how, answer, then) in [
        (
            "response-timeout",
            guests::HASTY,
            "first=200",
            "",
            Then::Wait,
        ),
        (
            "not-http",
            guests::CALLS,
            "n=1",
            "SSH-2.0-hello\r\n\r\n",
            Then::Wait,
        ),
        (
            "connection-lost",
            guests::CALLS,
            "n=1",
            "HTTP/1.1 200 OK\r\n",
            Then::Close,
        ),
    ] {
        let origin = Raw::start(answer, then).await;
        saw(reason, call(&host, guest, how, &origin.url).await).await;
    }
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let origin = Raw::start(head, Then::Wait).await;
    saw(
        "head-too-large",
        call(&host, guests::CALLS, "n=1", &origin.url).await,
    )
    .await;

    let keeper = Origin::start(|seen| {
        let coding = if seen.path == "/slot/gzip" {
            "gzip"
        } else {
            "identity"
        };
        let response = Response::builder().header("content-encoding", coding);
        response
            .body("the key is 1DIGVEt5WgqX2".into())
            .expect("a response")
    })
    .await;
    let mut claims = claims_for(guests::OUTBOUND);
    claims.out = vec![format!("* {}", keeper.url("/*")).parse().expect("a grant")];
    let slots = [
        ("/slot/*", "authorization: Bearer {}"),
        ("/signed", "x-sign: hmac-sha256:{}"),
    ];
    let slot = |(path, header)| format!("POST {} {header}", keeper.url(path)).parse();
    let key = SecretClaim {
        value: Secret::new("1DIGVEt5WgqX2".to_owned()),
        slots: slots.map(|of| slot(of).expect("a slot")).to_vec(),
    };
    claims.secrets.insert("key".to_owned(), key);
    let path = format!("/run?method=POST&url={}", keeper.url("/slot/back"));
    let request = Request::post(path)
        .header("webtask-token", host.seal(&claims))
        .header("x-send-authorization", "mine");
    let reply = host
        .send(request.body(Full::<Bytes>::default()).expect("a request"))
        .await;
    saw("slot-header", reply).await;
    for (reason, guest, how, path) in [
        ("secret-returned", guests::CALLS, "n=1", "/slot/back"),
        ("unsearchable", guests::CALLS, "n=1", "/slot/gzip"),
        (
            "signed-too-large",
            guests::CALLS,
            "n=1&up=2000000",
            "/signed",
        ),
        ("signed-trailers", guests::HASTY, "trailers=1", "/signed"),
    ] {
        let code = claims_for(guest);
        (claims.url, claims.sha256) = (code.url, code.sha256);
        let path = format!("/?{how}&url={}", keeper.url(path));
        saw(reason, host.get(&host.seal(&claims), &path).await).await;
    }
    assert_eq!(seen, in_code);
}
