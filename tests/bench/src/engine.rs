//! One call of the engine for each request and nothing else: no token, no limits, no record. What differs from that is
//! what the product costs.
//!
//! `engine COMPONENT` prints its address; with `--each-core` behind it there is a runtime of one thread for each core,
//! all on that address (SO_REUSEPORT), in the place of one for all of them. WASI 0.2, with what the product
//! sets of the engine: a fresh instance from a pool that keeps its pages, polled in the task of its connection.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, LazyLock},
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    UpdateDeadline,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx,
    WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::bindings::{ProxyPre, http::types::Scheme},
};
use wasmtime_wasi_io::IoView;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls at the same time, and what each may have, as the product has it by default.
const CALLS: u32 = 500;
const MEMORIES: u32 = 2;
const TABLES: u32 = 8;
const INSTANCES: u32 = 32;

/// One for all fields, as the product has it.
static FILTER: LazyLock<ForbiddenHeaderFilter> =
    LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));

struct Ctx {
    /// Made when the guest first asks.
    wasi: Option<WasiCtx>,
    http: WasiHttpCtx,
    table: ResourceTable,
    calls: NoCalls,
}

/// Outbound calls: there are none.
struct NoCalls;

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoCalls {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        FILTER.clone()
    }

    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Io,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
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

impl IoView for Ctx {
    fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiHttpView for Ctx {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.calls,
        }
    }
}

fn engine() -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS)
        .total_core_instances(INSTANCES * CALLS)
        .total_memories(MEMORIES * CALLS)
        .total_tables(TABLES * CALLS)
        .total_stacks(CALLS)
        .max_core_instances_per_component(INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_unused_warm_slots(MEMORIES * CALLS)
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
        .max_wasm_stack(512 << 10)
        .async_stack_size(2 << 20)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config)?;
    let ticked = engine.clone();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(2));
            ticked.increment_epoch();
        }
    });
    Ok(engine)
}

async fn call(
    pre: &ProxyPre<Ctx>,
    request: Request<Incoming>,
) -> wasmtime::Result<Response<WasiBody>> {
    let ctx = Ctx {
        wasi: None,
        http: WasiHttpCtx::new(),
        table: ResourceTable::new(),
        calls: NoCalls,
    };
    let mut store = Store::new(pre.engine(), ctx);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|_| {
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::task::yield_now()),
        ))
    });
    let (send, head) = tokio::sync::oneshot::channel();
    let request = store
        .data_mut()
        .http()
        .new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(send)?;
    let proxy = pre.instantiate_async(&mut store).await?;
    let handler = proxy.wasi_http_incoming_handler();
    handler.call_handle(&mut store, request, out).await?;
    Ok(head.await??)
}

async fn serve(stream: TcpStream, pre: Arc<ProxyPre<Ctx>>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| async {
        let response = call(&pre, request).await.expect("a component that answers");
        Ok::<_, Infallible>(response)
    });
    let served = hyper::server::conn::http1::Builder::new();
    // A caller that leaves is what the caller does.
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1_024)
}

async fn accept(listener: TcpListener, pre: Arc<ProxyPre<Ctx>>) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, pre.clone()));
    }
}

fn main() -> wasmtime::Result<()> {
    let engine = engine()?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    // Its streams need no `WasiCtx`.
    linker.allow_shadowing(true);
    wasmtime_wasi_io::add_to_linker_async(&mut linker)?;
    let mut words = std::env::args_os().skip(1);
    let path = words.next().expect("the path of a component");
    let each_core = words.next().is_some_and(|word| word == "--each-core");
    let component = Component::from_file(&engine, path)?;
    let pre = Arc::new(ProxyPre::new(linker.instantiate_pre(&component)?)?);
    let mut runtime = Builder::new_multi_thread();
    let others = match each_core {
        true => {
            runtime = Builder::new_current_thread();
            std::thread::available_parallelism()?.get() - 1
        }
        false => 0,
    };
    let runtime = runtime.enable_all().build()?;
    let (listener, address) = runtime.block_on(async {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = listener.local_addr()?;
        std::io::Result::Ok((listener, address))
    })?;
    for _ in 0..others {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async { listen(address) })?;
        let pre = pre.clone();
        std::thread::spawn(move || runtime.block_on(accept(listener, pre)));
    }
    println!("http://{address}");
    Ok(runtime.block_on(accept(listener, pre))?)
}
