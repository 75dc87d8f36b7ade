//! Asks for a secret and for an origin that it was not granted, `?n=` times each, then calls `&url=`, which comes last.
use webtask::{Error, Request, Response, secrets};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let n: u32 = query(path, "n").and_then(|n| n.parse().ok()).unwrap_or(100);
    for _ in 0..n {
        let _ = secrets::get("nope");
    }
    for _ in 0..n {
        let _ = webtask::get("https://not-granted.example/").await;
    }
    if let Some((_, url)) = path.split_once("url=") {
        let _ = webtask::get(url).await;
    }
    Ok(webtask::text("denied all along"))
}
