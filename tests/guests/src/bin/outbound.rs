//! Sends `?method=…&url=…` (the last, as it stands), passing `x-send-*` headers and the body on, and says what came of it.
use serde_json::json;
use webtask::{Error, ErrorKind, HeaderMap, Request, Response, http};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let url = path.split_once("url=").ok_or_else(|| Error::bad_request("no url"))?.1;
    let before = path.split("&url=").next().unwrap_or_default();
    let mut send = http::Request::builder().method(query(before, "method").unwrap_or("GET")).uri(url);
    for (name, value) in &head.headers {
        if let Some(name) = name.as_str().strip_prefix("x-send-") {
            send = send.header(name, value);
        }
    }
    let answer = match webtask::send(send.body(body).map_err(|error| Error::bad_request(error.to_string()))?).await {
        Ok(response) => {
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
            let body = response.into_body().bytes().await;
            let all: &HeaderMap = &headers;
            let names: Vec<_> = all.keys().map(|name| name.as_str()).collect();
            json!({ "status": status, "location": text("location"), "headers": names,
                "body": body.as_ref().ok().map(|body| String::from_utf8_lossy(body)), "broken": body.is_err() })
        }
        Err(error) => {
            let kind = match error.kind() {
                ErrorKind::Denied => "denied".to_owned(),
                ErrorKind::DestinationProhibited => "destination-prohibited".to_owned(),
                other => format!("{other:?}").to_lowercase(),
            };
            json!({ "error": kind, "code": error.code(), "text": error.to_string() })
        }
    };
    webtask::json(&answer)
}
