//! The call of a component of WASI 0.2: `wasi:http/incoming-handler`.

use http::Request;
use wasmtime::Store;
use wasmtime_wasi_http::{
    WasiHttpView as _,
    p2::bindings::{ProxyPre, http::types::Scheme},
};

use super::Head;
use crate::{body::RequestBody, ctx::Ctx, phases::Phase};

/// Calls the handler, and returns when it does. `head` goes when the guest sets its response.
pub(super) async fn call(
    pre: &ProxyPre<Ctx>,
    store: &mut Store<Ctx>,
    request: Request<RequestBody>,
    head: Head,
) -> wasmtime::Result<()> {
    let mut http = store.data_mut().http();
    let scheme = match super::scheme(&request) {
        scheme if scheme == http::uri::Scheme::HTTPS => Scheme::Https,
        _ => Scheme::Http,
    };
    let request = http.new_incoming_request(scheme, request)?;
    let outparam = http.new_response_outparam_from_callback(move |response| {
        // Nobody waits any more: the invocation is over.
        let _ = head.send(response.map_err(|code| code.to_string()));
    })?;
    let proxy = pre.instantiate_async(&mut *store).await?;
    store.data().spent.phases.begin(Phase::Run);
    proxy
        .wasi_http_incoming_handler()
        .call_handle(&mut *store, request, outparam)
        .await
}
