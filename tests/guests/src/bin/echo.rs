//! Streams the request's body back, with its content type.
use webtask::{Error, Request, Response, header};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(body);
    if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.clone());
    }
    Ok(response)
}
