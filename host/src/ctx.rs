//! `Ctx`: the `T` of an invocation's `Store<T>`. Nothing ambient: a capability is a value in it.

use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_io::IoView;

use crate::{
    capability::{
        http::Outbound,
        invocation::Invocation,
        log::{GuestLog, LineStream},
        random::Random,
    },
    egress::Egress,
    meter::{Meter, Spent},
    rights::Rights,
};

/// Everything one invocation may touch.
pub(crate) struct Ctx {
    pub(crate) rights: Arc<Rights>,
    pub(crate) invocation: Arc<Invocation>,
    pub(crate) log: GuestLog,
    pub(crate) meter: Meter,
    pub(crate) spent: Arc<Spent>,
    /// Made when the guest first asks: most invocations never do.
    wasi: Option<WasiCtx>,
    config: Option<WasiConfigVariables>,
    http: WasiHttpCtx,
    outbound: Outbound,
    table: ResourceTable,
}

impl Ctx {
    pub(crate) fn new(
        rights: Arc<Rights>,
        invocation: Arc<Invocation>,
        egress: Arc<Egress>,
        spent: Arc<Spent>,
    ) -> Self {
        let limits = &rights.limits;
        let log = GuestLog::new(invocation.clone(), rights.clone(), spent.clone());
        for name in rights.withheld.keys() {
            log.denied(&format!("secret {name}: {}", rights.mend_secret(name)));
        }
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(usize::try_from(limits.header_bytes).unwrap_or(usize::MAX));
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.resources);
        Self {
            outbound: Outbound::new(
                egress,
                rights.clone(),
                invocation.clone(),
                log.clone(),
                spent.clone(),
            ),
            meter: Meter::new(limits, spent.clone()),
            spent,
            wasi: None,
            config: None,
            http,
            table,
            rights,
            invocation,
            log,
        }
    }

    pub(crate) fn config(&mut self) -> WasiConfig<'_> {
        let params = &self.rights.token.params;
        let config = self
            .config
            .get_or_insert_with(|| params.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        WasiConfig::from(&*config)
    }

    pub(crate) fn random(&mut self) -> Random<'_> {
        let limits = &self.rights.limits;
        let (at_once, total) = (limits.random_bytes, limits.random_total);
        Random {
            spent: self.spent.clone(),
            at_once,
            total,
            from: self.ctx().ctx.random(),
        }
    }
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| {
            let mut wasi = WasiCtx::builder();
            wasi.stdout(LineStream::stdout(&self.log))
                .stderr(LineStream::stderr(&self.log))
                .max_random_size(self.rights.limits.random_bytes)
                .allow_tcp(false)
                .allow_udp(false);
            for (name, value) in &self.rights.token.params {
                wasi.env(name, value);
            }
            wasi.build()
        });
        WasiCtxView {
            ctx,
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
            hooks: &mut self.outbound,
        }
    }
}
