//! What the SDK costs a webtask: hello over it beside hello over the bare bindings, in one process without HTTP, with the
//! host's engine settings and a fresh instance for each call. Rounds alternate, so that both meet the same machine.
//! Prints Markdown tables; `cargo bench -p webtask-host --bench sdk`.

use std::time::Instant;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ResourceLimiter,
    Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::bindings::{
        ProxyPre,
        http::types::{ErrorCode, Scheme},
    },
};
use webtask_tests::p2::{examples, guests};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 301;
const CALLS: u32 = 100;

struct Ctx {
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    hooks: NoCalls,
    table: ResourceTable,
    grown: u32,
}

/// A future that wasi-http drives beside an exchange.
type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// Hello calls nobody.
struct NoCalls;

impl WasiHttpHooks for NoCalls {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        Box::new(async { Err(ErrorCode::HttpRequestDenied.into()) })
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| WasiCtx::builder().build()),
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.hooks,
        }
    }
}

/// Counts what is asked for beyond what a component begins with.
impl ResourceLimiter for Ctx {
    fn memory_growing(&mut self, now: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grown += u32::from(now > 0);
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// As `host/src/runtime.rs` has it for WASI 0.2.
fn engine() -> Engine {
    let mut pool = PoolingAllocationConfig::new();
    pool.max_core_instances_per_component(32)
        .total_component_instances(16)
        .total_core_instances(16 * 32)
        .total_memories(32)
        .total_tables(16 * 8)
        .total_stacks(16)
        .max_memory_size(64 << 20);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Yes)
            .linear_memory_keep_resident(1 << 20)
            .table_keep_resident(64 << 10);
    }
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .concurrency_support(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).expect("an engine")
}

fn prepare(engine: &Engine, wasm: &str) -> ProxyPre<Ctx> {
    let component = Component::from_file(engine, wasm).expect("a component");
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).expect("WASI");
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).expect("wasi:http");
    // Of the runtime's own, hello imports the log, and writes to it only what went wrong.
    let log = linker.instance("wasi:logging/logging@0.1.0-draft");
    log.and_then(|mut log| log.func_new("log", |_, _, _, _| Ok(())))
        .expect("a log");
    let pre = linker.instantiate_pre(&component).expect("it links");
    ProxyPre::new(pre).expect("a handler")
}

/// One call from a fresh store to the last byte; how often the memory grew.
async fn call(pre: &ProxyPre<Ctx>) -> u32 {
    let ctx = Ctx {
        wasi: None,
        http: WasiHttpCtx::new(),
        hooks: NoCalls,
        table: ResourceTable::new(),
        grown: 0,
    };
    let mut store = Store::new(pre.engine(), ctx);
    store.limiter(|ctx| ctx);
    store.set_epoch_deadline(1 << 40);
    let request = Request::get("http://127.0.0.1:8080/ada?x=1")
        .header("host", "127.0.0.1:8080")
        .header("user-agent", "curl/8.5.0")
        .header("accept", "*/*");
    let body = Empty::new().map_err(|never| -> ErrorCode { match never {} });
    let body = body.boxed_unsync();
    let request = request.body(body).expect("a request");
    let (head, answer) = tokio::sync::oneshot::channel();
    let mut http = store.data_mut().http();
    let request = http
        .new_incoming_request(Scheme::Http, request)
        .expect("a request");
    let out = http
        .new_response_outparam_from_callback(move |response| drop(head.send(response)))
        .expect("a place for the answer");
    let proxy = pre.instantiate_async(&mut store).await.expect("it starts");
    let handled = proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut store, request, out);
    handled.await.expect("it answers");
    let response = answer.await.expect("an answer").expect("no error");
    let body = response.into_body().collect().await.expect("a whole body");
    assert_eq!(body.to_bytes(), "Hello, ada!\n");
    store.data().grown
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let engine = engine();
    let contestants = [
        ("bare bindings", guests::BARE),
        ("SDK", examples::HELLO),
        // The same once more: what of the difference is noise.
        ("bare bindings, again", guests::BARE),
    ];
    let prepared = contestants.map(|(_, wasm)| prepare(&engine, wasm));
    let grown = prepared.each_ref().map(|pre| runtime.block_on(call(pre)));
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (pre, times) in prepared.iter().zip(&mut times) {
            let started = Instant::now();
            runtime.block_on(async {
                for _ in 0..CALLS {
                    call(pre).await;
                }
            });
            times.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
        }
    }
    let times = times.each_mut().map(|times| median(times));
    let first = times[0];
    println!("| hello, WASI 0.2 | bytes | µs a call | against bare | memory grown |");
    println!("|---|---|---|---|---|");
    for (((name, wasm), time), grown) in contestants.iter().zip(times).zip(grown) {
        let bytes = std::fs::metadata(wasm).expect("a component").len();
        let more = (time / first - 1.0) * 100.0;
        println!("| {name} | {bytes} | {time:.2} | {more:+.1} % | {grown} times |");
    }
}
