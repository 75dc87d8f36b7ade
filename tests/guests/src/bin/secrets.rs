//! Answers with the names of the secrets, and what `get` says to each name in `?get=a,b`.
use serde_json::{Map, Value, json};
use webtask::{Error, Request, Response, secrets};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let asked = request
        .uri()
        .path_and_query()
        .and_then(|path| query(path.as_str(), "get"))
        .unwrap_or_default();
    let mut got = Map::new();
    for name in asked.split(',').filter(|name| !name.is_empty()) {
        let said = match secrets::get(name) {
            Ok(value) => json!({ "value": value }),
            Err(secrets::Error::NotGranted) => json!({ "error": "not-granted" }),
            Err(secrets::Error::Bound) => json!({ "error": "bound" }),
        };
        got.insert(name.to_owned(), said);
    }
    webtask::json(&json!({ "names": secrets::names(), "get": Value::Object(got) }))
}
