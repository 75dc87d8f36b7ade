//! Outbound connections: what names may mean, which calls share a connection, TLS and HTTP/2.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::{Response, Version};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webtask_tests::{
    Authority, Dns, Origin, Reply, SOON, Seen, TestHost, claims_for, get, now, wait_for_line,
};
use webtask_token::{Caveat, Claims};

use super::built::{examples, guests};

fn ok(_: &Seen) -> Response<Bytes> {
    Response::new(Bytes::from_static(b"from the origin"))
}

/// A token for the guest `calls` that may send anything to `url`.
fn caller(host: &TestHost, url: &str) -> String {
    host.token_with_grants(guests::CALLS, &[&format!("* {url}")])
}

/// What the guest `calls` says, a line for each call.
async fn calls(host: &TestHost, token: &str, how: &str, url: &str) -> Vec<String> {
    let reply = host.get(token, &format!("/?{how}&url={url}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.text().lines().map(str::to_owned).collect()
}

/// A call that must fail, and the reason that the log gives.
async fn refused(host: &TestHost, token: &str, url: &str, reason: &str) -> Reply {
    let reply = host.get(token, &format!("/?url={url}")).await;
    assert!(!reply.text().starts_with("200"), "{reply:?}");
    wait_for_line(reply.request_id(), &format!("reason={reason}")).await;
    reply
}

fn ips<const N: usize>(addresses: [&str; N]) -> Option<Vec<IpAddr>> {
    Some(addresses.map(|ip| ip.parse().expect("an address")).to_vec())
}

/// An address that the filter lets pass and that leads nowhere: IANA has given it to nobody.
const NOBODY: &str = "2e00::1";

/// Trap 3: each connection asks anew, and what comes back is filtered each time, however long it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_a_name_that_changes_its_meaning_is_filtered_each_time() {
    let origin = Origin::start(ok).await;
    let dns = Dns::start(|_, before| match before {
        0 | 2 => ips([NOBODY]),
        _ => ips(["127.0.0.1", "::1"]),
    })
    .await;
    let host = TestHost::builder()
        .loopback()
        .dns(&dns)
        .limits(|limits| limits.connect = Duration::from_secs(2))
        .start()
        .await;
    let url = format!("http://rebind.test:{}/", origin.address.port());
    let token = caller(&host, &url);
    for asked in 1..=4 {
        let reply = host.get(&token, &format!("/?url={url}")).await;
        // The answer of the first lookup is what is dialled: there is no second one for it.
        let line = match asked {
            1 | 3 => wait_for_line(reply.request_id(), "reason=connect-").await,
            _ => wait_for_line(reply.request_id(), "reason=private-address").await,
        };
        assert!(!reply.text().starts_with("200"), "{reply:?} {line}");
        assert_eq!(dns.asked().len(), asked, "one lookup for each connection");
    }
    assert!(origin.seen().is_empty());
}

/// Trap 3: of mixed answers only the public ones are dialled, and nothing is left of all the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_3_no_answer_of_a_name_server_leads_inside() {
    let origin = Origin::start(ok).await;
    let dns = Dns::start(|name, _| match name {
        "mixed.test" => ips(["127.0.0.1", NOBODY, "::1"]),
        "loopback.test" => ips(["127.0.0.1", "::1"]),
        "unspecified.test" => ips(["0.0.0.0", "::"]),
        "private.test" => ips(["10.0.0.1", "172.16.0.1", "192.168.0.1", "fd00::1"]),
        "metadata.test" => ips(["169.254.169.254", "fd00:ec2::254", "168.63.129.16"]),
        "shared.test" => ips(["100.64.0.1", "198.18.0.1", "fe80::1"]),
        "within.test" => ips(["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]),
        "multicast.test" => ips(["224.0.0.1", "255.255.255.255", "ff02::1"]),
        _ => ips([]),
    })
    .await;
    let host = TestHost::builder()
        .loopback()
        .dns(&dns)
        .limits(|limits| limits.connect = Duration::from_millis(500))
        .start()
        .await;
    let port = origin.address.port();
    let call = async |name: &str, reason: &str| {
        let url = format!("http://{name}:{port}/");
        refused(&host, &caller(&host, &url), &url, reason).await;
    };
    for name in [
        "loopback.test",
        "unspecified.test",
        "private.test",
        "metadata.test",
        "shared.test",
        "within.test",
        "multicast.test",
    ] {
        call(name, "private-address").await;
    }
    call("mixed.test", "connect-").await;
    // A single label is the name as it stands: no search domain is added, whatever the machine has.
    call("intranet", "name-unknown").await;
    call("localhost", "private-address").await;
    assert_eq!(dns.asked().last().expect("a question"), "intranet");
    assert!(origin.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_server_that_does_not_answer_is_given_up() {
    let dns = Dns::start(|_, _| None).await;
    let host = TestHost::builder()
        .dns(&dns)
        .limits(|limits| limits.connect = Duration::from_millis(300))
        .start()
        .await;
    let token = caller(&host, "http://silent.test/");
    let reply = refused(&host, &token, "http://silent.test/", "connect-timeout").await;
    assert_eq!(reply.text(), "connection-timeout");
    assert!(reply.took < SOON, "{:?}", reply.took);
}

/// Trap 4: calls of one token share a connection, in one invocation and over several.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_token_use_one_connection() {
    let origin = Origin::start(ok).await;
    let host = TestHost::builder().loopback().start().await;
    let token = caller(&host, &origin.url("/*"));
    for _ in 0..2 {
        let said = calls(&host, &token, "n=3", &origin.url("/")).await;
        assert_eq!(said, ["200 15"; 3]);
    }
    assert_eq!(origin.connections(), [0; 6]);
}

/// Trap 4: another root is another holder, although everything else is the same; what was derived from
/// a token is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_tokens_of_different_roots_never_share_a_connection() {
    let authority = Authority::new();
    let secure = Origin::tls(authority.acceptor("127.0.0.1", &["h2"]), ok).await;
    let plain = Origin::start(ok).await;
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    for origin in [plain, secure] {
        let mut claims = claims_for(guests::CALLS);
        claims.out = vec![format!("* {}", origin.url("/*")).parse().expect("a grant")];
        // The same claims, sealed twice.
        let (first, second) = (host.seal(&claims), host.seal(&claims));
        let note = Some("derived".to_owned());
        let derived = webtask_token::attenuate(
            &first,
            &Caveat {
                note,
                ..Caveat::default()
            },
        );
        for token in [&first, &second, &derived.expect("a caveat"), &second] {
            let said = calls(&host, token, "n=2", &origin.url("/")).await;
            assert_eq!(said, ["200 15"; 2]);
        }
        assert_eq!(origin.connections(), [0, 0, 1, 1, 0, 0, 1, 1]);
    }
}

/// Trap 4: an open connection is no grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_a_kept_connection_does_not_outlive_the_grant() {
    let origin = Origin::start(ok).await;
    let host = TestHost::builder().loopback().start().await;
    let token = caller(&host, &origin.url("/*"));
    assert_eq!(
        calls(&host, &token, "n=1", &origin.url("/")).await,
        ["200 15"]
    );
    let out = Some(vec!["* https://elsewhere.test/*".parse().expect("a grant")]);
    let narrowed = webtask_token::attenuate(
        &token,
        &Caveat {
            out,
            ..Caveat::default()
        },
    );
    let narrowed = narrowed.expect("a caveat");
    refused(&host, &narrowed, &origin.url("/"), "no-grant").await;
    // Revoked, it is not even opened.
    let request = http::Request::post("/v1/revoke").header("webtask-token", &token);
    let request = request.body(http_body_util::Empty::<Bytes>::new());
    assert_eq!(host.send(request.expect("a request")).await.status, 200);
    assert_eq!(
        get(host.address, &token, "/run").await.code(),
        "token-revoked"
    );
    assert_eq!(origin.seen().len(), 1);
}

/// Trap 4: what is not read to its end is not used again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_a_connection_with_half_an_answer_is_closed() {
    let origin = Origin::start(|_| Response::new(vec![0; 1 << 20].into())).await;
    let host = TestHost::builder().loopback().start().await;
    let token = caller(&host, &origin.url("/*"));
    let said = calls(&host, &token, "n=3&way=head", &origin.url("/")).await;
    assert_eq!(said, ["200 0"; 3]);
    assert_eq!(origin.connections(), [0, 1, 2]);
}

/// Trap 4: no TLS session is resumed, not even for the same token: each connection shows its certificate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_4_no_tls_session_is_resumed() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["http/1.1"]);
    let origin = Origin::tls(acceptor, |_| Response::new(vec![0; 1 << 20].into())).await;
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let token = caller(&host, &origin.url("/*"));
    calls(&host, &token, "n=3&way=head", &origin.url("/")).await;
    calls(
        &host,
        &caller(&host, &origin.url("/*")),
        "n=1",
        &origin.url("/"),
    )
    .await;
    assert_eq!(origin.connections(), [0, 1, 2, 3]);
    for seen in origin.seen() {
        assert_eq!(seen.handshake, Some(HandshakeKind::Full));
    }
}

/// The limit holds for all tokens together; the one that was idle for longest makes room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_connections_are_bounded() {
    let origin = Origin::start(ok).await;
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.pool = 2)
        .start()
        .await;
    let tokens = [(); 3].map(|()| caller(&host, &origin.url("/*")));
    for at in [0, 1, 2, 2, 1, 0] {
        let said = calls(&host, &tokens[at], "n=1", &origin.url("/")).await;
        assert_eq!(said, ["200 15"]);
    }
    // The third took the place of the first, which needs a new one.
    assert_eq!(origin.connections(), [0, 1, 2, 2, 1, 3]);
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.pool = 0)
        .start()
        .await;
    let token = caller(&host, &origin.url("/*"));
    calls(&host, &token, "n=2", &origin.url("/")).await;
    assert_eq!(origin.connections()[6..], [4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_keeps_no_more_connections_than_its_share() {
    let origins = [
        Origin::start(ok).await,
        Origin::start(ok).await,
        Origin::start(ok).await,
    ];
    let host = TestHost::builder()
        .loopback()
        .limits(|limits| limits.pool = 16)
        .start()
        .await;
    let grants = origins.each_ref().map(|to| format!("* {}", to.url("/*")));
    let grants = grants.each_ref().map(String::as_str);
    let token = host.token_with_grants(guests::CALLS, &grants);
    // An eighth are two: the third takes the place of the first.
    for at in [0, 1, 2, 2, 0] {
        let said = calls(&host, &token, "n=1", &origins[at].url("/")).await;
        assert_eq!(said, ["200 15"]);
    }
    assert_eq!(origins[2].connections(), [0, 0]);
    assert_eq!(origins[0].connections(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_carries_many_calls_over_one_connection() {
    let authority = Authority::new();
    let origin = Origin::tls(authority.acceptor("127.0.0.1", &["h2", "http/1.1"]), ok).await;
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let token = caller(&host, &origin.url("/*"));
    assert_eq!(
        calls(&host, &token, "n=1", &origin.url("/a?b=c")).await,
        ["200 15"]
    );
    let said = calls(
        &host,
        &token,
        "n=16&wide=8&up=100000",
        &origin.url("/a?b=c"),
    )
    .await;
    assert_eq!(said, vec!["200 15"; 16]);
    assert_eq!(origin.connections(), vec![0; 17]);
    for (index, seen) in origin.seen().iter().enumerate() {
        assert_eq!(
            (seen.version, seen.path.as_str()),
            (Version::HTTP_2, "/a?b=c")
        );
        assert_eq!(seen.body.len(), if index == 0 { 0 } else { 100_000 });
        assert!(!seen.headers.contains_key("host"), "{seen:?}");
    }
}

/// A stream that is given up is reset; the others and the connection go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_survives_an_answer_that_is_not_read() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let origin = Origin::tls(acceptor, |_| Response::new(vec![0; 4 << 20].into())).await;
    let host = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let token = caller(&host, &origin.url("/*"));
    let said = calls(&host, &token, "n=8&wide=8&way=head", &origin.url("/")).await;
    assert_eq!(said, ["200 0"; 8]);
    let said = calls(&host, &token, "n=2", &origin.url("/")).await;
    assert_eq!(said, ["200 4194304"; 2]);
    let connections = origin.connections();
    assert_eq!(connections[8], connections[9], "{connections:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let authority = Authority::new();
    let good = Origin::tls(authority.acceptor("127.0.0.1", &["http/1.1"]), ok).await;
    let other_name = Origin::tls(authority.acceptor("other.test", &["http/1.1"]), ok).await;
    let trusting = TestHost::builder()
        .loopback()
        .ca(&authority.file())
        .start()
        .await;
    let token = caller(&trusting, &good.url("/"));
    assert_eq!(
        calls(&trusting, &token, "n=1", &good.url("/")).await,
        ["200 15"]
    );
    let token = caller(&trusting, &other_name.url("/"));
    let reply = refused(&trusting, &token, &other_name.url("/"), "certificate").await;
    assert_eq!(reply.text(), "TLS-certificate-error");
    let host = TestHost::builder().loopback().start().await;
    refused(
        &host,
        &caller(&host, &good.url("/")),
        &good.url("/"),
        "certificate",
    )
    .await;
    assert_eq!((good.seen().len(), other_name.seen().len()), (1, 0));
    // What speaks no TLS at all.
    let plain = Origin::start(ok).await;
    let url = plain.url("/").replace("http:", "https:");
    refused(&host, &caller(&host, &url), &url, "tls").await;
}

/// The caller leaves in the middle of a call: the origin sees its connection end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_ends_the_outbound_call() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}/", silent.local_addr().expect("bound"));
    let host = TestHost::builder().loopback().start().await;
    let token = caller(&host, &url);
    let request =
        format!("GET /run/?url={url} HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n");
    let mut caller = tokio::net::TcpStream::connect(host.address)
        .await
        .expect("the host listens");
    caller.write_all(request.as_bytes()).await.expect("sent");
    let (mut stream, _) = silent.accept().await.expect("a connection");
    let mut head = [0; 1024];
    assert_ne!(stream.read(&mut head).await.expect("a request"), 0);
    drop(caller);
    let end = tokio::time::timeout(SOON, stream.read(&mut head)).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
}

/// Trap 6: whoever dials passes the same filter. A way out that this does not drive would have to be in
/// another file than egress, which the first half rules out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_6_every_way_out_is_egress() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src");
    let mut files = vec![root.clone()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a directory");
            files.extend(entries.map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a file");
        let inside = path.starts_with(root.join("egress"));
        for way in [
            "TcpStream::connect",
            "TcpSocket",
            "UdpSocket",
            "UnixStream",
            "to_socket_addrs",
            "lookup_host",
            "hickory_resolver",
            "client::conn",
            "TlsConnector",
            "wasmtime_wasi_http::default_send_request",
            "inherit_network",
            "allow_tcp(true)",
            "allow_udp(true)",
        ] {
            assert!(
                inside || !text.contains(way),
                "{} has {way}",
                path.display()
            );
        }
    }

    // An address that is refused, over each way: nobody gets through to it.
    let inner = Origin::start(ok).await;
    let to_inner = inner.url("/x.wasm").replace("127.0.0.1", "127.0.0.2");
    let port = inner.address.port();
    let named = format!("http://localhost:{port}/x.wasm");
    let location = to_inner.clone();
    let outer = Origin::start(move |_| {
        let redirect = Response::builder()
            .status(302)
            .header("location", &location);
        redirect.body(Bytes::new()).expect("a response")
    })
    .await;
    let host = TestHost::builder()
        .code("http://")
        .code(&outer.url("/"))
        .private("127.0.0.1/32")
        .start()
        .await;
    for url in [&to_inner, &named] {
        refused(&host, &caller(&host, url), url, "private-address").await;
        let reply = host
            .get(&host.seal(&Claims::new(url.as_str(), now())), "")
            .await;
        assert_eq!(reply.code(), "component-fetch", "{url}");
        wait_for_line(reply.request_id(), "not a public address").await;
    }
    let reply = host
        .get(&host.seal(&Claims::new(outer.url("/x.wasm"), now())), "")
        .await;
    assert_eq!(reply.code(), "component-fetch");
    wait_for_line(reply.request_id(), "not a public address").await;
    assert_eq!((outer.seen().len(), inner.seen().len()), (1, 0));
    assert_eq!(host.get(&host.token(examples::HELLO), "").await.status, 200);
}
