//! The reasons of refused and failed calls: README.md lists every one of the code, and each of them happens here.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use webtask_tests::{
    Authority, Dns, Origin, Raw, Reply, TestHost, Then, claims_for, policy_with, wait_for_line,
};
use webtask_token::{Claims, Secret, SecretClaim};

use super::{
    built::guests,
    calls::{loopback, said_by},
};

/// The limits behind reasons, as the access record has them.
const LIMITS: [(&str, &str); 7] = [
    ("bytes-used-up", "outbound-total"),
    ("calls-used-up", "calls"),
    ("connect-timeout", "connect"),
    ("head-too-large", "header-bytes"),
    ("response-too-large", "outbound-bytes"),
    ("signed-too-large", "signed-bytes"),
    ("too-many-calls", "concurrent-calls"),
];

/// The reasons that the log gave.
#[derive(Default)]
struct Told(BTreeSet<String>);

impl Told {
    async fn saw(&mut self, reason: &str, reply: Reply) {
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        let limit = LIMITS.iter().find(|(of, _)| *of == reason);
        let names = webtask_tests::names(&record);
        let told = match limit {
            Some((_, limit)) => names.iter().any(|name| name == limit),
            None => names.is_empty(),
        };
        assert!(told, "{reason}: {record}");
        wait_for_line(reply.request_id(), &format!("\"reason={reason}; ")).await;
        assert!(self.0.insert(reason.to_owned()));
    }
}

/// The reasons of the code.
fn listed() -> BTreeSet<String> {
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
    in_code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reason_is_listed_and_has_a_case() {
    let mut told = Told::default();
    what_is_not_granted(&mut told).await;
    what_is_used_up(&mut told).await;
    what_has_no_connection(&mut told).await;
    what_is_no_answer(&mut told).await;
    what_touches_a_bound_secret(&mut told).await;
    assert_eq!(told.0, listed());
}

async fn what_is_not_granted(told: &mut Told) {
    let host = loopback().await;
    let plain = Origin::start(|_| Response::default()).await;
    let url = plain.url("/");
    let token = host.token(guests::CALLS);
    let reply = host.get(&token, &format!("/?n=1&url={url}")).await;
    told.saw("no-grant", reply).await;
    let reply = said_by(&host, guests::OUTBOUND, "method=TRACE", &url).await;
    told.saw("method", reply).await;
    let closed = policy_with("import wasi:http/outgoing-handler@0.2.12;");
    let ruled = TestHost::builder().policy(&closed).start().await;
    let reply = said_by(&ruled, guests::CALLS, "n=1", &url).await;
    told.saw("policy", reply).await;
    let token = host.token_with_grants(guests::OUTBOUND, &[&format!("* {url}")]);
    let user = format!("http://user@{}/", plain.address);
    let reply = host.get(&token, &format!("/?method=GET&url={user}")).await;
    told.saw("url", reply).await;
    let inside = "http://169.254.169.254/";
    let reply = said_by(&host, guests::CALLS, "n=1", inside).await;
    told.saw("private-address", reply).await;
}

async fn what_is_used_up(told: &mut Told) {
    let plain = Origin::start(|_| Response::new(vec![0; 1_000].into())).await;
    let url = plain.url("/");
    let few = TestHost::builder()
        .loopback()
        .limits(|limits| (limits.calls, limits.outbound_total) = (1, 10))
        .start()
        .await;
    let tight = TestHost::builder()
        .loopback()
        .limits(|limits| (limits.concurrent_calls, limits.outbound_bytes) = (1, 10))
        .start()
        .await;
    for (reason, host, how) in [
        ("calls-used-up", &few, "n=2&way=head"),
        ("bytes-used-up", &few, "n=1"),
        ("too-many-calls", &tight, "n=2&wide=2"),
        ("response-too-large", &tight, "n=1"),
    ] {
        told.saw(reason, said_by(host, guests::CALLS, how, &url).await)
            .await;
    }
}

async fn what_has_no_connection(told: &mut Told) {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let secure = Origin::tls(acceptor, |_| Response::default()).await;
    let plain = Origin::start(|_| Response::default()).await;
    let gone = Origin::start(|_| Response::default()).await.url("/");
    let dns = Dns::start(|name, _| (name != "silent.test").then(Vec::new)).await;
    let host = TestHost::builder().loopback().dns(&dns).start().await;
    let hasty = TestHost::builder()
        .dns(&dns)
        .limits(|limits| limits.connect = Duration::from_millis(200))
        .start()
        .await;
    for (reason, host, url) in [
        ("name-unknown", &host, "http://unknown.test/"),
        ("name-timeout", &host, "http://silent.test/"),
        ("connect-timeout", &hasty, "http://silent.test/"),
        ("connect-failed", &host, &gone),
        ("certificate", &host, &secure.url("/")),
        ("tls", &host, &format!("https://{}/", plain.address)),
    ] {
        told.saw(reason, said_by(host, guests::CALLS, "n=1", url).await)
            .await;
    }
}

async fn what_is_no_answer(told: &mut Told) {
    let host = loopback().await;
    let plain = Origin::start(|_| Response::default()).await;
    let abandon = "n=1&up=100000&way=abandon";
    let reply = said_by(&host, guests::CALLS, abandon, &plain.url("/")).await;
    told.saw("request-unfinished", reply).await;
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let half = "HTTP/1.1 200 OK\r\n".to_owned();
    let other = "SSH-2.0-hello\r\n\r\n".to_owned();
    for (reason, guest, how, answer, then) in [
        (
            "response-timeout",
            guests::HASTY,
            "first=200",
            String::new(),
            Then::Wait,
        ),
        ("not-http", guests::CALLS, "n=1", other, Then::Wait),
        ("connection-lost", guests::CALLS, "n=1", half, Then::Close),
        ("head-too-large", guests::CALLS, "n=1", long, Then::Wait),
    ] {
        let origin = Raw::start(answer, then).await;
        told.saw(reason, said_by(&host, guest, how, &origin.url).await)
            .await;
    }
}

async fn what_touches_a_bound_secret(told: &mut Told) {
    let host = loopback().await;
    let keeper = Origin::start(|seen| {
        let coding = match seen.path.as_str() {
            "/slot/gzip" => "gzip",
            _ => "identity",
        };
        let response = Response::builder().header("content-encoding", coding);
        response
            .body("the key is 1DIGVEt5WgqX2".into())
            .expect("a response")
    })
    .await;
    let claims = |guest| keeping(guest, &keeper);
    let path = format!("/run?method=POST&url={}", keeper.url("/slot/back"));
    let request = Request::post(path)
        .header("webtask-token", host.seal(&claims(guests::OUTBOUND)))
        .header("x-send-authorization", "mine");
    let request = request.body(Full::<Bytes>::default()).expect("a request");
    told.saw("slot-header", host.send(request).await).await;
    let large = "n=1&up=2000000";
    for (reason, guest, how, path) in [
        ("secret-returned", guests::CALLS, "n=1", "/slot/back"),
        ("unsearchable", guests::CALLS, "n=1", "/slot/gzip"),
        ("signed-too-large", guests::CALLS, large, "/signed"),
        ("signed-trailers", guests::HASTY, "trailers=1", "/signed"),
    ] {
        let path = format!("/?{how}&url={}", keeper.url(path));
        let token = host.seal(&claims(guest));
        told.saw(reason, host.get(&token, &path).await).await;
    }
}

/// Claims with a secret that is bound to two paths of this origin.
fn keeping(guest: &str, keeper: &Origin) -> Claims {
    let mut claims = claims_for(guest);
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
    claims
}
