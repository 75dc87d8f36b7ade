//! Answers with everything that it sees of the request, the token and the process.
use serde_json::{Map, Value, json};
use webtask::{Error, Request, Response, invocation, params};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let mut headers = Map::new();
    for (name, value) in request.headers() {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers
            .entry(name.as_str())
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .expect("an array")
            .push(value.into());
    }
    let map = |pairs: Vec<(String, String)>| {
        pairs
            .into_iter()
            .map(|(k, v)| (k, Value::from(v)))
            .collect::<Map<_, _>>()
    };
    webtask::json(&json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "path_and_query": request.uri().path_and_query().map(|path| path.as_str()),
        "authority": request.uri().authority().map(|authority| authority.as_str()),
        "headers": headers,
        "params": map(params::all()),
        "env": map(std::env::vars().collect()),
        "args": std::env::args().collect::<Vec<_>>(),
        "tenant": invocation::tenant(),
        "token_id": invocation::token_id(),
        "request_id": invocation::request_id(),
        "remaining": !invocation::remaining().is_zero(),
    }))
}
