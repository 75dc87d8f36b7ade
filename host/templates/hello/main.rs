//! Greets whom the path names: `GET /Ada` is answered with `Hello, Ada!`.

use webtask::{Error, Request, Response, log, params};

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let greeting = params::get("greeting").unwrap_or_else(|| "Hello".to_owned());
    let name = request.path().trim_start_matches('/');
    let name = if name.is_empty() { "world" } else { name };
    log::info!("greeting {name}");
    Ok(webtask::text(format!("{greeting}, {name}!\n")))
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::{Request, testing::World};

    async fn call(world: World, path: &str) -> String {
        let request = Request::get(format!("https://run.example{path}"));
        let response = world.call(main, request.build().unwrap()).await;
        response.into_body().text().await.unwrap()
    }

    #[webtask::test]
    async fn it_greets_whom_the_path_names() {
        assert_eq!(call(World::new(), "/Ada").await, "Hello, Ada!\n");
        assert_eq!(call(World::new(), "/").await, "Hello, world!\n");
    }

    #[webtask::test]
    async fn the_greeting_is_a_parameter() {
        let world = World::new().param("greeting", "Ahoy");
        assert_eq!(call(world, "/Ada").await, "Ahoy, Ada!\n");
    }
}
