//! What a component costs that was not seen before, and one that was: compiled with each setting, in this process
//! and in another, and loaded from disk. Prints Markdown tables; `cargo bench -p webtask-host --bench compile`.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm};
use webtask_host::Compiler;
use webtask_tests::{TestHost, examples};

/// As the command's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 31;

fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |share: usize| {
        let time = times.get(times.len() * share / 100);
        time.expect("a round").as_secs_f64() * 1e3
    };
    (at(50), at(90))
}

/// `wasm` with another digest.
fn unseen(wasm: &[u8], number: u8) -> Vec<u8> {
    [wasm, &[0, 6, 4, b's', b'e', b'e', b'n', number]].concat()
}

fn settings(name: &str, wasm: &[u8]) {
    for (level, opt) in [("speed", OptLevel::Speed), ("none", OptLevel::None)] {
        for (allocator, regalloc) in [
            ("backtracking", RegallocAlgorithm::Backtracking),
            ("single pass", RegallocAlgorithm::SinglePass),
        ] {
            let mut config = Config::new();
            config
                .epoch_interruption(true)
                .concurrency_support(false)
                .cranelift_opt_level(opt)
                .cranelift_regalloc_algorithm(regalloc)
                .parallel_compilation(false);
            let engine = Engine::new(&config).expect("an engine");
            let mut bytes = 0;
            let mut times = Vec::new();
            for _ in 0..ROUNDS {
                let started = cpu();
                let code = engine.precompile_component(wasm).expect("it compiles");
                times.push(cpu().saturating_sub(started));
                bytes = code.len();
            }
            let (p50, p90) = percentiles(times);
            println!("| {name}, {level}, {allocator} | {bytes} | {p50:.1} | {p90:.1} |");
        }
    }
}

/// CPU time of this thread: what the clock on the wall says depends on what else the machine does.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).expect("not negative"),
        u32::try_from(time.tv_nsec).expect("not negative"),
    )
}

/// The first request of each of many components, and the second.
async fn first_requests(host: &TestHost, dir: &Path, name: &str, what: &str) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let file = dir.join(format!("{name}-{round}.wasm"));
        let token = host.token(file.to_str().expect("text"));
        // As somebody who does not wait in the queue of others: a compiler is at hand again.
        tokio::time::sleep(Duration::from_millis(100)).await;
        for times in [&mut first, &mut second] {
            let started = Instant::now();
            let reply = host.get(&token, "").await;
            assert!(reply.status.as_u16() < 500, "{}", reply.code());
            times.push(started.elapsed());
        }
    }
    let ((p50, p90), (again, _)) = (percentiles(first), percentiles(second));
    println!("| {name}, {what} | {p50:.2} | {p90:.2} | {again:.2} |");
}

async fn requests(components: &[(&str, Vec<u8>)]) {
    let dir = tempfile::tempdir().expect("a directory");
    let process = || Compiler::Process(env!("CARGO_BIN_EXE_webtask").into());
    let cache = dir.path().join("cache");
    for (name, wasm) in components {
        for round in 0..ROUNDS {
            let file = dir.path().join(format!("{name}-{round}.wasm"));
            let number = u8::try_from(round).expect("few rounds");
            std::fs::write(file, unseen(wasm, number)).expect("own directory");
        }
    }
    println!(
        "\n| the first request of a component | p50 ms | p90 ms | the second one, p50 ms |\n|---|---|---|---|"
    );
    let code = dir.path().to_str().expect("text");
    for (name, _) in components {
        let host = TestHost::builder().code(code).start().await;
        first_requests(&host, dir.path(), name, "compiled in this process").await;
        let host = TestHost::builder()
            .code(code)
            .compiler(process())
            .start()
            .await;
        first_requests(&host, dir.path(), name, "compiled in another process").await;
        let host = TestHost::builder().code(code).compiler(process());
        let host = host.cache(&cache).start().await;
        first_requests(
            &host,
            dir.path(),
            name,
            "compiled in another process and kept on disk",
        )
        .await;
        let host = TestHost::builder().code(code).compiler(process());
        let host = host.cache(&cache).start().await;
        first_requests(&host, dir.path(), name, "loaded from disk").await;
        assert_eq!(host.loads().compiled, 0, "all of it was on disk");
    }
}

fn main() {
    let read = |path| std::fs::read(path).expect("the examples are built");
    let components = [
        ("hello", read(examples::HELLO)),
        ("login", read(examples::LOGIN)),
    ];
    println!(
        "| component, optimisation, registers | bytes of code | CPU ms, p50 | p90 |\n|---|---|---|---|"
    );
    for (name, wasm) in &components {
        settings(&format!("{name} ({} bytes)", wasm.len()), wasm);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(requests(&components));
    println!("\n| a MAC of a mebibyte | µs |\n|---|---|");
    let bytes = vec![7; 1 << 20];
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        black_box(blake3::keyed_hash(&[1; 32], black_box(&bytes)));
        times.push(started.elapsed());
    }
    println!("| BLAKE3, keyed | {:.0} |", percentiles(times).0 * 1e3);
}
