//! From a request to its answer: what is the same however it came.
use crate::{Error, Request, Response};

/// The handler's answer, or what becomes of its error.
pub(crate) async fn answer<F, R, E>(request: Request, handler: F) -> Response
where
    F: AsyncFnOnce(Request) -> Result<R, E>,
    R: Into<Response>,
    E: Into<Error>,
{
    let answer = handler(request).await.map(Into::into).map_err(Into::into);
    answer.unwrap_or_else(|error: Error| {
        error.log();
        error.into()
    })
}
