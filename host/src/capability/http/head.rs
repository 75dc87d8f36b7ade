//! The heads of outbound requests as a guest makes them: `header-bytes` bounds all parts of one.
//!
//! wasmtime bounds the fields. A method and an authority it keeps in any length, and with a few hundred requests
//! in its hands a guest could have the host keep gigabytes of them.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    FieldMap, WasiHttpView as _,
    p2::bindings::http::types::{Method, OutgoingRequest},
    p3::{
        Request,
        bindings::http::types::{self as p3, Host as _, HostFields as _},
    },
};

use crate::{Limit, ctx::Ctx};

/// What a setter answers: that the part is no part of a head.
type Set = (Result<(), ()>,);
/// What WASI 0.3 answers of fields: it has an error for those that are too large.
type Fields<T> = (Result<T, p3::HeaderError>,);

/// Takes the place of wasmtime's own setters, which `linker` has.
pub(in super::super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    use wasmtime_wasi_http::p2::bindings::http::types::HostOutgoingRequest as _;

    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, Ctx>,
         (request, method): (Resource<OutgoingRequest>, Method)|
         -> wasmtime::Result<Set> {
            if let Method::Other(method) = &method
                && !fits(&store, method)
            {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, Ctx>,
         (request, authority): (Resource<OutgoingRequest>, Option<String>)|
         -> wasmtime::Result<Set> {
            if let Some(authority) = &authority
                && !fits(&store, authority)
            {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, authority)?,))
        },
    )
}

/// The same for WASI 0.3, and what remembers that fields were too large: a guest of 0.2 ends there.
pub(in super::super) fn add_p3_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    use p3::HostRequest as _;

    let mut types = linker.instance("wasi:http/types@0.3.0")?;
    types.func_wrap(
        "[method]request.set-method",
        |mut store: StoreContextMut<'_, Ctx>,
         (request, method): (Resource<Request>, p3::Method)|
         -> wasmtime::Result<Set> {
            if let p3::Method::Other(method) = &method
                && !fits(&store, method)
            {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]request.set-authority",
        |mut store: StoreContextMut<'_, Ctx>,
         (request, authority): (Resource<Request>, Option<String>)|
         -> wasmtime::Result<Set> {
            if let Some(authority) = &authority
                && !fits(&store, authority)
            {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, authority)?,))
        },
    )?;
    types.func_wrap(
        "[static]fields.from-list",
        |mut store: StoreContextMut<'_, Ctx>,
         (entries,): (Vec<(String, Vec<u8>)>,)|
         -> wasmtime::Result<Fields<Resource<FieldMap>>> {
            let made = store.data_mut().http().from_list(entries);
            told(&mut store, made)
        },
    )?;
    types.func_wrap(
        "[method]fields.set",
        |mut store: StoreContextMut<'_, Ctx>,
         (fields, name, values): (Resource<FieldMap>, String, Vec<Vec<u8>>)|
         -> wasmtime::Result<Fields<()>> {
            let set = store.data_mut().http().set(fields, name, values);
            told(&mut store, set)
        },
    )?;
    types.func_wrap(
        "[method]fields.append",
        |mut store: StoreContextMut<'_, Ctx>,
         (fields, name, value): (Resource<FieldMap>, String, Vec<u8>)|
         -> wasmtime::Result<Fields<()>> {
            let appended = store.data_mut().http().append(fields, name, value);
            told(&mut store, appended)
        },
    )
}

/// Whether a part of a head is within its limit.
fn fits(store: &StoreContextMut<'_, Ctx>, part: &str) -> bool {
    let ctx = store.data();
    let fits = part.len() as u64 <= ctx.rights.limits.header_bytes;
    if !fits {
        ctx.spent.hit(Limit::HeaderBytes);
    }
    fits
}

/// What the guest is told of fields.
fn told<T>(
    store: &mut StoreContextMut<'_, Ctx>,
    made: Result<T, wasmtime_wasi::TrappableError<p3::HeaderError>>,
) -> wasmtime::Result<Fields<T>> {
    let error = match made {
        Ok(made) => return Ok((Ok(made),)),
        Err(error) => store.data_mut().http().convert_header_error(error)?,
    };
    if matches!(error, p3::HeaderError::SizeExceeded) {
        store.data().spent.hit(Limit::HeaderBytes);
    }
    Ok((Err(error),))
}
