//! Outbound calls per second through the host's pool beside plain hyper: the same origin, the same number of
//! calls at the same time, over connections that are kept. Rounds alternate, so that both meet the same
//! machine. Prints a Markdown table; `cargo bench -p webtask-host --bench pool`.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{client::conn::http1, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use webtask_host::{Egress, Key, Limits, Ranges, RequestBody, Target};
use webtask_token::LinkId;

const ROUND: Duration = Duration::from_secs(1);
const ROUNDS: usize = 7;
const LIMIT: Duration = Duration::from_secs(5);

/// Runs `wide` loops of `calls` for a round; calls per second.
async fn round<F>(wide: usize, calls: impl Fn(Instant, Arc<AtomicU64>) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let done = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + ROUND;
    let started = Instant::now();
    let tasks: Vec<_> = (0..wide)
        .map(|_| tokio::spawn(calls(until, done.clone())))
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// One connection a loop, as good as it gets.
async fn plain(url: String, until: Instant, done: Arc<AtomicU64>) {
    let uri: http::Uri = url.parse().expect("a URL");
    let authority = uri.authority().expect("a URL has one").to_string();
    let stream = TcpStream::connect(&authority)
        .await
        .expect("the origin listens");
    stream.set_nodelay(true).expect("a socket");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    while Instant::now() < until {
        let request = Request::get(uri.path()).header("host", &authority);
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        sender.ready().await.expect("a kept connection");
        let answer = sender.send_request(request).await.expect("an answer");
        answer.into_body().collect().await.expect("a body");
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn pooled(egress: Arc<Egress>, url: String, until: Instant, done: Arc<AtomicU64>) {
    let key = Key {
        owner: LinkId::from([7; 16]),
        target: Target::of(&url.parse().expect("a URL")).expect("a target"),
        ranges: Ranges::Opened,
    };
    while Instant::now() < until {
        let body: RequestBody = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get(&url).body(body).expect("a request");
        let answer = egress.exchange(&key, request, LIMIT, LIMIT).await;
        let answer = answer.expect("an answer").into_body();
        answer.collect().await.expect("a body");
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// An origin on loopback that answers with a kilobyte.
async fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("a socket");
            let service = service_fn(async |_| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[0; 1_000]))))
            });
            let builder = server::conn::http1::Builder::new();
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let url = origin().await;
        let opened = vec!["127.0.0.0/8".parse().expect("a range")];
        let egress = Egress::new(opened, &[], &[], &Limits::default()).expect("no files");
        let egress = Arc::new(egress);
        println!("| calls at the same time | plain hyper /s | pool /s | pool ÷ hyper |");
        println!("|---|---|---|---|");
        for wide in [1, 8, 64] {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                before.push(round(wide, |until, done| plain(url.clone(), until, done)).await);
                let calls = |until, done| pooled(egress.clone(), url.clone(), until, done);
                after.push(round(wide, calls).await);
            }
            let ratios = before.iter().zip(&after).map(|(plain, pool)| pool / plain);
            let ratio = median(ratios.collect());
            let (before, after) = (median(before), median(after));
            println!("| {wide} | {before:.0} | {after:.0} | {ratio:.2} |");
        }
    });
}
