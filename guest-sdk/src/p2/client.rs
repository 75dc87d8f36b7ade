//! One outbound request.
use super::bindings::wasi::http::outgoing_handler::handle;
use super::bindings::wasi::http::types::OutgoingRequest;
use super::incoming::{Incoming, Source};
use super::outgoing;
use super::poll::wait;
use crate::executor::spawn;
use crate::{Body, Request, Response, SendError, body, convert};

pub(crate) async fn send(request: Request) -> Result<Response, SendError> {
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
    let response = handle(outgoing, None)?;
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
    let incoming = Incoming::new(Source::Response(response), answer.headers());
    *answer.body_mut() = Body(body::Kind::Incoming(incoming));
    Ok(answer)
}
