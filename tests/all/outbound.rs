//! Outbound connections: what names may mean, whom TLS trusts, and that there is one way out.

use std::{net::IpAddr, time::Duration};

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use webtask_tests::{Authority, Dns, Origin, SOON, TestHost, now, wait_for_line};
use webtask_token::Claims;

use super::{
    built::examples,
    calls::{caller, calls, loopback, ok, refused, trusting},
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let authority = Authority::new();
    let good = Origin::tls(authority.acceptor("127.0.0.1", &["http/1.1"]), ok).await;
    let other_name = Origin::tls(authority.acceptor("other.test", &["http/1.1"]), ok).await;
    let trusting = trusting(&authority).await;
    let token = caller(&trusting, &good.url("/"));
    assert_eq!(
        calls(&trusting, &token, "n=1", &good.url("/")).await,
        ["200 15"]
    );
    let token = caller(&trusting, &other_name.url("/"));
    let reply = refused(&trusting, &token, &other_name.url("/"), "certificate").await;
    assert_eq!(reply.text(), "TLS-certificate-error");
    let host = loopback().await;
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
    let host = loopback().await;
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
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let inside = path.starts_with(root.join("egress"));
        // What listens has sockets of callers, at addresses of the operator.
        let listens = path.starts_with(root.join("server"));
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
                inside
                    || listens && ["TcpSocket", "UnixStream", "lookup_host"].contains(&way)
                    || !text.contains(way),
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
