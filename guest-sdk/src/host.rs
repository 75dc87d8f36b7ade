//! What a webtask asks its host for. Tests on the author's machine have their own: `testing`.
use crate::__bindings::wasi::{config::store, logging::logging};
use crate::__bindings::webtask::runtime::{invocation, secrets};
use crate::timeouts::Timeouts;
use crate::{Request, Response, SendError, log, secrets::Reason, wasi};

pub(crate) use invocation::{remaining, request_id, tenant, token_id};
pub(crate) use secrets::names as secret_names;
pub(crate) use wasi::{now, sleep};

pub(crate) fn secret(name: &str) -> Result<String, Reason> {
    secrets::get(name).map_err(|error| match error {
        secrets::Error::NotGranted => Reason::NotGranted,
        secrets::Error::Bound => Reason::Bound,
    })
}

pub(crate) fn param(name: &str) -> Option<String> {
    store::get(name).ok().flatten()
}

pub(crate) fn params() -> Vec<(String, String)> {
    store::get_all().unwrap_or_default()
}

pub(crate) fn log(level: log::Level, context: &str, message: &str) {
    logging::log(level, context, message);
}

pub(crate) async fn send(
    request: Request,
    timeouts: Option<&Timeouts>,
) -> Result<Response, SendError> {
    let options = timeouts.map(wasi::options).transpose()?;
    wasi::send(request, options).await
}
