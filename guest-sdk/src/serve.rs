//! The one export: a WASI request in, the handler, a WASI response out.
use crate::__bindings::wasi::http::types::{
    ErrorCode, IncomingRequest, OutgoingResponse, ResponseOutparam,
};
use crate::incoming::{Incoming, Source};
use crate::{Body, Error, Request, Response, body, convert, executor, outgoing};
use http::Uri;

/// Runs one invocation of `handler`. What `#[webtask::main]` exports.
pub fn serve<F, R, E>(request: IncomingRequest, out: ResponseOutparam, handler: F)
where
    F: AsyncFnOnce(Request) -> Result<R, E>,
    R: Into<Response>,
    E: Into<Error>,
{
    executor::block_on(async move {
        let answer = match accept(request) {
            Ok(request) => handler(request).await.map(Into::into).map_err(Into::into),
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| {
            error.log();
            error.into()
        });
        if let Err(error) = respond(answer, out).await {
            error.log();
        }
    });
}

fn accept(incoming: IncomingRequest) -> Result<Request, Error> {
    let mut request = Request::default();
    *request.method_mut() = convert::method_in(incoming.method())?;
    *request.uri_mut() = uri(&incoming)?;
    *request.headers_mut() = convert::headers_in(incoming.headers());
    let body = Incoming::new(Source::Request(incoming), request.headers());
    *request.body_mut() = Body(body::Kind::Incoming(body));
    Ok(request)
}

/// The whole URL if the host knows it, else the path.
fn uri(incoming: &IncomingRequest) -> Result<Uri, http::Error> {
    let path = incoming.path_with_query().unwrap_or_else(|| "/".to_owned());
    let mut uri = Uri::builder().path_and_query(path);
    if let Some(authority) = incoming.authority() {
        let scheme = incoming.scheme().and_then(convert::scheme_in);
        uri = uri.authority(authority).scheme(scheme.unwrap_or(http::uri::Scheme::HTTPS));
    }
    uri.build()
}

async fn respond(response: Response, out: ResponseOutparam) -> Result<(), Error> {
    let (mut head, mut body) = response.into_parts();
    let fields = match outgoing::fields(&mut head.headers, &body) {
        Ok(fields) => fields,
        // The author's mistake, or that of what the author passes on: say which header it was, in the log.
        Err(refused) => {
            Error::from(refused).log();
            body = Body::empty();
            head.status = http::StatusCode::INTERNAL_SERVER_ERROR;
            outgoing::fields(&mut http::HeaderMap::new(), &body)?
        }
    };
    let response = OutgoingResponse::new(fields);
    let to = match (response.set_status_code(head.status.as_u16()), response.body()) {
        (Ok(()), Ok(to)) => to,
        _ => {
            let code = ErrorCode::InternalError(Some("the host refuses this status".to_owned()));
            ResponseOutparam::set(out, Err(code));
            return Ok(());
        }
    };
    ResponseOutparam::set(out, Ok(response));
    outgoing::send(body, to).await
}
