//! Counts down, one event a second, for a page that watches: the smallest webtask with routes and server-sent events.
//!
//! Shows the router, a query with defaults, an answer that goes on while things happen, and how a browser that lost the
//! connection comes back to where it was.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/events.wasm --sha256 …
//! --limit wall=10s`, and no grant at all.
//! Call: `curl -N -H "Authorization: Bearer $TOKEN" 'http://localhost:8080/run/countdown/launch?from=3&ms=100'`

use std::time::Duration;

use webtask::{Error, Request, Response, Router, sse};

#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    from: u32,
    ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { from: 5, ms: 1000 }
    }
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    Router::new()
        .get("/", async |_| {
            Ok::<_, Error>(webtask::text("GET /countdown/{what}?from=5&ms=1000\n"))
        })
        .get("/countdown/{what}", countdown)
        .serve(request)
        .await
}

async fn countdown(request: Request) -> Result<Response, Error> {
    let what: String = request.capture("what")?;
    let options: Options = request.query()?;
    // A browser says what it saw last.
    let last = request
        .header("last-event-id")
        .and_then(|id| id.parse().ok());
    let from = last.unwrap_or(options.from.saturating_add(1)).min(1_000);
    let pause = Duration::from_millis(options.ms);
    Ok(sse::response(async move |events| {
        for n in (1..from).rev() {
            events
                .send(sse::Event::data(n.to_string()).id(n.to_string()))
                .await;
            webtask::sleep(pause).await;
        }
        events
            .send(sse::Event::data(what).event("done").id("0"))
            .await;
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::Request;
    use webtask::testing::World;

    async fn call(path: &str, last: Option<&str>) -> String {
        let mut request = Request::get(format!("https://run.example{path}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.build().expect("a request");
        let response = World::new().call(main, request).await;
        response.into_body().text().await.expect("text")
    }

    #[webtask::test]
    async fn it_counts_down_and_goes_on_where_it_was() {
        let end = "data: 1\nid: 1\n\ndata: lift off\nevent: done\nid: 0\n\n";
        let whole = call("/countdown/lift%20off?from=2", None).await;
        assert_eq!(whole, format!("data: 2\nid: 2\n\n{end}"));
        assert_eq!(call("/countdown/lift%20off?from=9", Some("2")).await, end);
    }

    #[webtask::test]
    async fn what_is_wrong_with_the_query_is_said() {
        let text = call("/countdown/x?from=many", None).await;
        assert_eq!(
            text,
            "the query is not the one expected: from: invalid digit found in string"
        );
    }
}
