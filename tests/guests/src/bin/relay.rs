//! Sends `GET ?url=…` and passes on what comes, as it comes. The body of its own request stays unread till then.
use webtask::{Body, Error, Request, Response, http};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (head, unread) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let url = query(path, "url").unwrap_or_default();
    let send = http::Request::get(url).body(Body::empty());
    let send = send.map_err(|error| Error::bad_request(error.to_string()))?;
    let mut coming = webtask::send(send).await?.into_body();
    Ok(Response::new(Body::stream(async move |writer| {
        while let Some(chunk) = coming.chunk().await? {
            writer.write(chunk).await;
        }
        drop(unread);
        Ok(())
    })))
}
