//! The one export: a WASI request in, the handler, a WASI response out.
use super::bindings::wasi::http::types::{self, ErrorCode};
use super::outgoing::Outgoing;
use super::{Inbound, beside};
use crate::{Error, Request, Response, convert, executor, serve};

/// Runs one invocation of `handler`. What `#[webtask::main]` exports.
///
/// # Errors
/// If the host takes the response's status for none.
pub async fn serve<F, R, E>(
    request: types::Request,
    handler: F,
) -> Result<types::Response, ErrorCode>
where
    F: AsyncFnOnce(Request) -> Result<R, E>,
    R: Into<Response>,
    E: Into<Error>,
{
    let answer = beside(serve::answer(
        Request::inbound(Inbound::new(request)),
        handler,
    ))
    .await;
    let (status, fields, body) = convert::response_out(answer);
    let Outgoing {
        contents,
        trailers,
        writing,
    } = Outgoing::new(body);
    let (response, _) = types::Response::new(fields, contents, trailers);
    if response.set_status_code(status).is_err() {
        return Err(ErrorCode::InternalError(Some("not a status".to_owned())));
    }
    // The task goes on after it has returned, until the body is out. What was spawned ends with it.
    match writing {
        None => executor::drop_spawned(),
        Some(writing) => drop(wit_bindgen::spawn_local(async {
            if let Err(error) = beside(writing).await {
                error.log();
            }
            executor::drop_spawned();
        })),
    }
    Ok(response)
}

/// Exports `$handler` as the handler of a component, by way of the type `$guest`.
#[doc(hidden)]
#[macro_export]
macro_rules! __guest {
    ($guest:ident, $handler:path) => {
        impl $crate::__private::Guest for $guest {
            async fn handle(
                request: $crate::__bindings::wasi::http::types::Request,
            ) -> Result<
                $crate::__bindings::wasi::http::types::Response,
                $crate::__bindings::wasi::http::types::ErrorCode,
            > {
                $crate::__private::serve(request, $handler).await
            }
        }
        #[cfg(target_family = "wasm")]
        $crate::__private::export!($guest with_types_in $crate::__bindings::generated);
    };
}
