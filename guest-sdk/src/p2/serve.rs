//! The one export: a WASI request in, the handler, a WASI response out.
use super::bindings::wasi::http::types::{IncomingRequest, OutgoingResponse, ResponseOutparam};
use super::{Inbound, outgoing, poll};
use crate::{Error, Request, Response, convert, executor, serve};

/// Runs one invocation of `handler`. What `#[webtask::main]` exports.
pub fn serve<F, R, E>(request: IncomingRequest, out: ResponseOutparam, handler: F)
where
    F: AsyncFnOnce(Request) -> Result<R, E>,
    R: Into<Response>,
    E: Into<Error>,
{
    poll::block_on(async move {
        let answer = serve::answer(Request::inbound(Inbound::new(request)), handler).await;
        if let Err(error) = respond(answer, out).await {
            error.log();
        }
    });
}

async fn respond(response: Response, out: ResponseOutparam) -> Result<(), Error> {
    let (status, fields, body) = convert::response_out(response);
    let response = OutgoingResponse::new(fields);
    // A response begins as a 200, and each call of the host is one that hello need not make.
    let set = match status {
        200 => Ok(()),
        status => response.set_status_code(status),
    };
    // Both can fail only for a host that breaks WASI: then there is no response, and that is its to answer.
    if let (Ok(()), Ok(to)) = (set, response.body()) {
        ResponseOutparam::set(out, Ok(response));
        match executor::is_idle() {
            true => outgoing::send_alone(body, to).await?,
            false => outgoing::send(body, to).await?,
        }
    }
    Ok(())
}

/// Exports `$handler` as the handler of a component, by way of the type `$guest`.
#[doc(hidden)]
#[macro_export]
macro_rules! __guest {
    ($guest:ident, $handler:path) => {
        impl $crate::__private::Guest for $guest {
            fn handle(
                request: $crate::__bindings::wasi::http::types::IncomingRequest,
                out: $crate::__bindings::wasi::http::types::ResponseOutparam,
            ) {
                $crate::__private::serve(request, out, $handler)
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::__private::export!($guest with_types_in $crate::__bindings::generated);
    };
}
