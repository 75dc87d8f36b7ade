//! One outbound request.
use super::bindings::wasi::http::client;
use super::bindings::wasi::http::types::{self, RequestOptions};
use super::incoming::{Incoming, Source};
use super::outgoing::Outgoing;
use crate::executor::spawn;
use crate::timeouts::{Timeouts, nanoseconds};
use crate::{Body, Request, Response, SendError, convert};

pub(crate) async fn send(
    request: Request,
    options: Option<RequestOptions>,
) -> Result<Response, SendError> {
    let (head, body) = request.into_parts();
    let fields = convert::fields(&head.headers, &body)?;
    let (method, scheme, authority, path) = convert::target_out(head.method, &head.uri)?;
    let Outgoing {
        contents,
        trailers,
        writing,
    } = Outgoing::new(body);
    let (outgoing, _) = types::Request::new(fields, contents, trailers, options);
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
        .map_err(|_| SendError::invalid("the host does not know this time limit"))?;
    Ok(options)
}
