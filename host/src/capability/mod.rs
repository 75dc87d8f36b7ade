//! The capabilities a guest may import, and the only place where they are linked.
//!
//! What is not linked does not exist for a guest; what is linked is denied until a claim allows it.

pub(crate) mod http;
pub(crate) mod invocation;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod secrets;

use wasmtime::component::Linker;

use crate::ctx::Ctx;

pub(crate) mod bindings {
    //! Generated from `wit/`: our own interfaces and `wasi:logging`.
    #![allow(
        missing_docs,
        unreachable_pub,
        missing_debug_implementations,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        reason = "generated code"
    )]
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package webtask:host;
            world capabilities {
                import webtask:runtime/secrets@0.1.0;
                import webtask:runtime/invocation@0.1.0;
                import wasi:logging/logging@0.1.0-draft;
            }
        ",
        world: "webtask:host/capabilities",
        imports: { default: trappable },
    });
}

/// Links every interface of the world `webtask:runtime/webtask`, which is all of WASI 0.2.
pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_config::add_to_linker(linker, Ctx::config)?;
    shadowed(linker, |linker| {
        wasmtime_wasi_io::add_to_linker_async(linker)?;
        random::add_to_linker(linker)?;
        http::head::add_to_linker(linker)
    })?;
    secrets::add_to_linker(linker)?;
    invocation::add_to_linker(linker)?;
    log::add_to_linker(linker)
}

/// Links what the world `webtask:runtime/webtask-p3` has beside it, which is all of WASI 0.3: the `std` of a
/// component for 0.3 is still that of 0.2.
pub(crate) fn add_p3_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    shadowed(linker, |linker| {
        random::add_p3_to_linker(linker)?;
        http::head::add_p3_to_linker(linker)
    })
}

/// Lets ours take the place of functions that wasmtime has and does not bound, or makes all of its context for.
/// Nothing else may be there twice.
fn shadowed(
    linker: &mut Linker<Ctx>,
    add: impl FnOnce(&mut Linker<Ctx>) -> wasmtime::Result<()>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    add(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}
