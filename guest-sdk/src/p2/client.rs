//! One outbound request.
use super::bindings::wasi::http::outgoing_handler::handle;
use super::bindings::wasi::http::types::{OutgoingRequest, RequestOptions};
use super::incoming::{Incoming, Source};
use super::outgoing;
use super::poll::wait;
use crate::executor::spawn;
use crate::timeouts::{Timeouts, nanoseconds};
use crate::{Body, Request, Response, SendError, convert};

pub(crate) async fn send(
    request: Request,
    options: Option<RequestOptions>,
) -> Result<Response, SendError> {
    let (head, body) = request.into_parts();
    let outgoing = OutgoingRequest::new(convert::fields(&head.headers, &body)?);
    let (method, scheme, authority, path) = convert::target_out(head.method, &head.uri)?;
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(path))
        .map_err(|()| SendError::invalid("the host refuses this method or URL"))?;
    let to = outgoing
        .body()
        .map_err(|()| SendError::protocol("no body"))?;
    let response = handle(outgoing, options)?;
    // The response may begin before the request has ended.
    spawn(async move {
        if let Err(error) = outgoing::send(body, to).await {
            error.log();
        }
    });
    wait(response.subscribe()).await;
    let response = match response.get() {
        Some(Ok(response)) => response?,
        Some(Err(())) | None => return Err(SendError::protocol("no response")),
    };
    let mut answer = convert::response_in(response.status(), response.headers().entries())?;
    *answer.body_mut() = Body::pieces(Incoming::new(Source::Response(response)));
    Ok(answer)
}

/// The limits that the host keeps.
///
/// # Errors
/// If it does not know one of them.
pub(crate) fn options(timeouts: &Timeouts) -> Result<RequestOptions, SendError> {
    let options = RequestOptions::new();
    options
        .set_connect_timeout(timeouts.connect.map(nanoseconds))
        .and_then(|()| options.set_first_byte_timeout(timeouts.first_byte.map(nanoseconds)))
        .and_then(|()| options.set_between_bytes_timeout(timeouts.between_bytes.map(nanoseconds)))
        .map_err(|()| SendError::invalid("the host does not know this time limit"))?;
    Ok(options)
}
