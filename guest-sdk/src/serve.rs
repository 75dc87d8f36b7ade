//! The one export: a WASI request in, the handler, a WASI response out.
use crate::__bindings::wasi::http::types::{
    Fields, IncomingRequest, OutgoingResponse, ResponseOutparam,
};
use crate::incoming::{Incoming, Source};
use crate::{Body, Error, Request, Response, body, convert, executor, outgoing};
use bytes::Bytes;
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
    let (Ok(method), Ok(uri)) = (convert::method_in(incoming.method()), uri(&incoming)) else {
        return Err(Error::bad_request(
            "not a method or URL that this webtask can read",
        ));
    };
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = convert::headers_in(incoming.headers());
    let body = Incoming::new(Source::Request(incoming), request.headers());
    *request.body_mut() = Body(body::Kind::Incoming(body));
    Ok(request)
}

/// The whole URL if the host knows it, else the path.
fn uri(incoming: &IncomingRequest) -> Result<Uri, http::uri::InvalidUri> {
    let path = incoming.path_with_query();
    let path = path.as_deref().unwrap_or("/");
    let whole = match incoming.authority() {
        Some(authority) => {
            let scheme = incoming.scheme();
            [convert::scheme_in(scheme.as_ref()), "://", &authority, path].concat()
        }
        None => path.to_owned(),
    };
    Uri::from_maybe_shared(Bytes::from(whole))
}

async fn respond(response: Response, out: ResponseOutparam) -> Result<(), Error> {
    let (mut head, mut body) = response.into_parts();
    let fields = outgoing::fields(&head.headers, &body).unwrap_or_else(|refused| {
        // The author's mistake, or that of what the author passes on: the log says which header it was.
        Error::from(refused).log();
        head.status = http::StatusCode::INTERNAL_SERVER_ERROR;
        body = Body::empty();
        Fields::new()
    });
    let response = OutgoingResponse::new(fields);
    // Both can fail only for a host that breaks WASI: then there is no response, and that is its to answer.
    if let (Ok(()), Ok(to)) = (
        response.set_status_code(head.status.as_u16()),
        response.body(),
    ) {
        ResponseOutparam::set(out, Ok(response));
        outgoing::send(body, to).await?;
    }
    Ok(())
}
