//! Answers with the names of the secrets, and what `get` says to each name in `?get=a,b`. With `?print` it
//! writes what it got to its log in every way there is, also across the border of a long line.
use serde_json::{Map, Value, json};
use webtask::{Error, Request, Response, log, secrets};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let asked = request
        .uri()
        .path_and_query()
        .and_then(|path| query(path.as_str(), "get"))
        .unwrap_or_default();
    let print = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("print"));
    let mut got = Map::new();
    for name in asked.split(',').filter(|name| !name.is_empty()) {
        let found = secrets::get(name);
        if let (Ok(value), true) = (&found, print) {
            log::info!("logged {value} and {value}");
            println!("printed {value}");
            eprintln!("printed {value} to stderr");
            for before in (8_170..8_200).step_by(3) {
                println!("{}{value}{}", "-".repeat(before), "+".repeat(100));
            }
            assert!(value.is_empty(), "gave up with {value}");
        }
        let said = match found {
            Ok(value) => json!({ "value": value }),
            Err(error) => json!({ "error": match error.reason() {
                secrets::Reason::NotGranted => "not-granted",
                secrets::Reason::Bound => "bound",
            } }),
        };
        got.insert(name.to_owned(), said);
    }
    webtask::json(&json!({ "names": secrets::names(), "get": Value::Object(got) }))
}
