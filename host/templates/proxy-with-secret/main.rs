//! Lets callers read one API without its key: `GET /v1/things?x=1` asks the API for `/v1/things?x=1`, and the runtime
//! writes the key into that request. This code cannot read it.
//!
//! The parameter `api` is where the API is; `webtask.toml` grants that place and binds the secret `api-key` to it.

use std::time::Duration;

use webtask::{Error, Method, Request, Response, header, log, params};

#[webtask::main(secrets("api-key"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::GET {
        return Err(Error::method_not_allowed("GET"));
    }
    let api = params::require("api")?;
    let mut url = format!("{api}{}", request.path());
    if let Some(query) = request.query_string() {
        url = format!("{url}?{query}");
    }
    let call = Request::get(&url).timeout(Duration::from_secs(8));
    let answer = call
        .send()
        .await
        .map_err(|cause| Error::bad_gateway("the API cannot be reached").with_source(cause))?;
    log::info!("the API answered {}", answer.status());

    // The status, the type and the body; nothing else of what the API says is for callers.
    let mut response = Response::default();
    *response.status_mut() = answer.status();
    if let Some(media_type) = answer.headers().get(header::CONTENT_TYPE) {
        let media_type = media_type.clone();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
    }
    *response.body_mut() = answer.into_body();
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::{ErrorKind, Request, Response, testing::World};

    fn world() -> World {
        let world = World::new().bound("api-key");
        world.param("api", "https://api.example.com")
    }

    async fn get(world: &World) -> Response {
        let request = Request::get("https://run.example/v1/things?x=1");
        world.call(main, request.build().unwrap()).await
    }

    #[webtask::test]
    async fn path_and_query_go_to_the_api_and_its_answer_comes_back() {
        let world =
            world().origin(async |_| webtask::json(&[1, 2]).map_err(|_| ErrorKind::Other.into()));
        let response = get(&world).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.into_body().text().await.unwrap(), "[1,2]");
        let asked = world.sent()[0].uri.to_string();
        assert_eq!(asked, "https://api.example.com/v1/things?x=1");
    }

    #[webtask::test]
    async fn an_api_that_is_down_is_502_and_a_post_is_refused() {
        let down = world().origin(async |_| Err(ErrorKind::Connect.into()));
        assert_eq!(get(&down).await.status(), 502);
        let post = Request::post("https://run.example/v1/things");
        let response = world().call(main, post.build().unwrap()).await;
        assert_eq!(response.status(), 405);
    }
}
