//! Sends `?method=…&url=…`, in this order and as it stands, passing `x-send-*` headers and the body on, and says what came of it.
use serde_json::json;
use webtask::{Error, ErrorKind, Request, Response, http};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let asked = head.uri.query().unwrap_or_default();
    let (before, url) = asked.split_once("&url=").unwrap_or((asked, ""));
    let method = before.strip_prefix("method=").unwrap_or("GET");
    let mut send = http::Request::builder().method(method).uri(url);
    for (name, value) in &head.headers {
        if let Some(name) = name.as_str().strip_prefix("x-send-") {
            send = send.header(name, value);
        }
    }
    let send = send
        .body(body)
        .map_err(|e| Error::bad_request(e.to_string()))?;
    let (head, body) = match webtask::send(send).await {
        Ok(response) => response.into_parts(),
        Err(error) => {
            let kind = match error.kind() {
                ErrorKind::DestinationProhibited => "destination-prohibited".to_owned(),
                other => format!("{other:?}").to_lowercase(),
            };
            let said = json!({ "error": kind, "code": error.code(), "text": error.to_string() });
            return webtask::json(&said);
        }
    };
    let body = body.bytes().await.ok();
    webtask::json(&json!({
        "status": head.status.as_u16(),
        "location": head.headers.get("location").and_then(|to| to.to_str().ok()),
        "headers": head.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
        "body": body.as_ref().map(|body| String::from_utf8_lossy(body)),
        "broken": body.is_none(),
    }))
}
