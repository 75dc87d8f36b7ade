//! One outbound request.
use super::bindings::wasi::http::client;
use super::bindings::wasi::http::types;
use super::incoming::{Incoming, Source};
use super::outgoing::Outgoing;
use crate::executor::spawn;
use crate::{Body, Request, Response, SendError, body, convert};

pub(crate) async fn send(request: Request) -> Result<Response, SendError> {
    let (head, body) = request.into_parts();
    let fields = convert::fields(&head.headers, &body)?;
    let (method, scheme, authority, path) = convert::target_out(head.method, &head.uri)?;
    let Outgoing {
        contents,
        trailers,
        writing,
    } = Outgoing::new(body);
    let (outgoing, _) = types::Request::new(fields, contents, trailers, None);
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(Some(authority)))
        .and_then(|()| outgoing.set_path_with_query(path))
        .map_err(|()| SendError::invalid("the host refuses this method or URL"))?;
    // The response may begin before the request has ended.
    if let Some(writing) = writing {
        spawn(async move {
            if let Err(error) = writing.await {
                error.log();
            }
        });
    }
    let response = match client::send(outgoing).await {
        Ok(response) => response,
        Err(code) => {
            // A refusal comes at once. The host lets go of the request when it is its turn, so a guest that
            // goes on to the next one would fill its table.
            wit_bindgen::yield_async().await;
            return Err(code.into());
        }
    };
    let fields = response.get_headers().copy_all();
    let mut answer = convert::response_in(response.get_status_code(), fields)?;
    let incoming = Incoming::new(Source::Response(response), answer.headers());
    *answer.body_mut() = Body(body::Kind::Incoming(incoming));
    Ok(answer)
}
