//! Says hello: the smallest webtask.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/hello.wasm --sha256 …`, and no grant at all.
//! Call: `curl -H "Authorization: Bearer $TOKEN" http://localhost:8080/run/world`

use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let name = request.path().trim_start_matches('/');
    let name = if name.is_empty() { "world" } else { name };
    Ok(webtask::text(format!("Hello, {name}!\n")))
}
