//! What a polite tenant's requests take beside hostile neighbours: one request after the other over a kept
//! connection, from a thread of its own. Prints a Markdown table;
//! `cargo bench -p webtask-host --bench neighbours`.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use webtask_tests::{TestHost, claims_for, examples, guests};

/// Requests of a row, or as many as go in the time.
const REQUESTS: usize = 3_000;
const TIME: Duration = Duration::from_secs(20);
/// Callers of the neighbour who come again at once.
const CALLERS: usize = 8;

const LONG: Duration = Duration::from_secs(3_600);

fn token_of(host: &TestHost, tenant: &str, wasm: &str) -> String {
    let mut claims = claims_for(wasm);
    claims.tenant = tenant.to_owned();
    host.seal(&claims)
}

/// One request over `stream`, whose answer is small and has a length or an only chunk.
fn request(stream: &mut TcpStream, token: &str) {
    let head = format!("GET /run HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let (mut answer, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut piece).expect("an answer");
        assert_ne!(read, 0, "the connection is kept");
        answer.extend(piece.iter().take(read));
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        let whole = match length.map(|length| length.parse::<usize>().expect("a number")) {
            Some(length) => body.len() >= length,
            None => body.ends_with("0\r\n\r\n"),
        };
        if whole {
            return;
        }
    }
}

/// The times of many requests, sorted.
fn polite(address: SocketAddr, token: &str) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("the host listens");
    stream.set_nodelay(true).expect("a socket");
    for _ in 0..100 {
        request(&mut stream, token);
    }
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < REQUESTS && begun.elapsed() < TIME {
        let started = Instant::now();
        request(&mut stream, token);
        took.push(started.elapsed());
    }
    took.sort();
    took
}

fn percentile(took: &[Duration], percent: usize) -> Duration {
    let at = (took.len() * percent / 100).min(took.len().saturating_sub(1));
    took.get(at).copied().unwrap_or_default()
}

async fn row(host: &TestHost, what: &str, alone: &mut Option<(Duration, Duration)>) {
    let (address, token) = (host.address, token_of(host, "polite", examples::HELLO));
    let measured = tokio::task::spawn_blocking(move || polite(address, &token));
    let took = measured.await.expect("no panic");
    let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
    let alone = *alone.get_or_insert((p50, p99));
    let micros = |time: Duration| time.as_micros();
    let ratio = |now: Duration, then: Duration| now.as_secs_f64() / then.as_secs_f64();
    println!(
        "| {what} | {} | {:.1} | {} | {:.1} | {} |",
        micros(p50),
        ratio(p50, alone.0),
        micros(p99),
        ratio(p99, alone.1),
        micros(took.last().copied().unwrap_or_default()),
    );
}

/// Callers of the neighbour: each comes again as soon as it was answered. `next` gives the token and the path.
fn callers(
    host: &Arc<TestHost>,
    count: usize,
    next: impl Fn(&TestHost) -> (String, String) + Send + Sync + 'static,
) -> JoinSet<()> {
    let next = Arc::new(next);
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let (host, next) = (host.clone(), next.clone());
        callers.spawn(async move {
            loop {
                let (token, path) = next(&host);
                host.get(&token, &path).await;
            }
        });
    }
    callers
}

/// The component `hello` with another custom section each time: code that nobody has compiled.
fn fresh(dir: &std::path::Path, hello: &[u8]) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut wasm = hello.to_vec();
    wasm.extend([0, 10, 1, b'n']);
    wasm.extend(number.to_le_bytes());
    let path = dir.join(format!("{number}.wasm"));
    std::fs::write(&path, wasm).expect("a file");
    path.to_str().expect("text").to_owned()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let builder = TestHost::builder()
            .code(dir.path().to_str().expect("text"))
            .limits(|limits| {
                limits.invocations = 500;
                limits.tenant_invocations = 450;
                limits.token_invocations = 450;
                limits.cpu = LONG;
                limits.wall = LONG;
            });
        let host = Arc::new(builder.start().await);
        println!("| beside | p50 µs | × alone | p99 µs | × alone | longest µs |");
        println!("|---|---|---|---|---|---|");
        let mut alone = None;
        row(&host, "nobody", &mut alone).await;
        let spin = token_of(&host, "greedy", guests::SPIN);
        for count in [1, 8, 64, 400] {
            let spin = spin.clone();
            let spinning = callers(&host, count, move |_| (spin.clone(), String::new()));
            row(&host, &format!("{count} spinning guests"), &mut alone).await;
            drop(spinning);
        }
        let memory = token_of(&host, "greedy", guests::MEMORY);
        let hogs = callers(&host, CALLERS, move |_| (memory.clone(), "/?mb=48".into()));
        row(
            &host,
            &format!("{CALLERS} callers of a guest that takes 48 MiB"),
            &mut alone,
        )
        .await;
        drop(hogs);
        let hello = std::fs::read(examples::HELLO).expect("hello is built");
        let compiling = callers(&host, CALLERS, move |host| {
            let path = fresh(dir.path(), &hello);
            (token_of(host, "greedy", &path), String::new())
        });
        row(
            &host,
            &format!("{CALLERS} callers of code that is not compiled"),
            &mut alone,
        )
        .await;
        drop(compiling);
        row(&host, "nobody, again", &mut alone).await;
    });
    runtime.shutdown_background();
}
