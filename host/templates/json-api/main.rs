//! An API of JSON: routes, bodies that are checked, errors that say what to mend.

use webtask::{Error, Request, Response, Router, log};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    items: Vec<Item>,
}

/// Prices are in the currency's smallest unit, such as cents.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    price: u64,
    quantity: u64,
}

#[derive(serde::Serialize)]
struct Quote {
    items: usize,
    total: u64,
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    Router::new()
        .get("/", async |_| {
            Ok::<_, Error>(webtask::text("POST /quotes, GET /squares/{n}\n"))
        })
        .get("/squares/{n}", square)
        .post("/quotes", quote)
        .serve(request)
        .await
}

async fn square(request: Request) -> Result<Response, Error> {
    let n: u32 = request.capture("n")?;
    webtask::json(&serde_json::json!({ "n": n, "square": u64::from(n).pow(2) }))
}

async fn quote(request: Request) -> Result<Response, Error> {
    let order: Order = request.json().await?;
    let mut total = 0_u64;
    for item in &order.items {
        let price = item.price.checked_mul(item.quantity);
        total = price
            .and_then(|price| total.checked_add(price))
            .ok_or_else(|| Error::bad_request("items: the total is too large"))?;
    }
    log::info!("quoted {} items", order.items.len());
    let items = order.items.len();
    webtask::json(&Quote { items, total })
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::{Builder, Request, testing::World};

    async fn call(request: Builder) -> (u16, String) {
        let response = World::new().call(main, request.build().unwrap()).await;
        let status = response.status().as_u16();
        (status, response.into_body().text().await.unwrap())
    }

    async fn quote(order: &'static str) -> (u16, String) {
        call(Request::post("https://run.example/quotes").body(order)).await
    }

    #[webtask::test]
    async fn an_order_is_quoted() {
        let answer = quote(r#"{"items":[{"price":250,"quantity":2},{"price":99,"quantity":1}]}"#);
        assert_eq!(answer.await, (200, r#"{"items":2,"total":599}"#.to_owned()));
    }

    #[webtask::test]
    async fn what_is_wrong_is_said() {
        let (status, text) = quote(r#"{"items":[{"price":-1,"quantity":2}]}"#).await;
        assert!(status == 400 && text.contains("items[0].price"), "{text}");
        let (status, text) =
            quote(r#"{"items":[{"price":18446744073709551615,"quantity":2}]}"#).await;
        assert!(status == 400 && text.contains("too large"), "{text}");
        assert_eq!(
            call(Request::get("https://run.example/squares/x")).await.0,
            400
        );
        assert_eq!(
            call(Request::get("https://run.example/quotes")).await.0,
            405
        );
    }

    #[webtask::test]
    async fn squares_are_squares() {
        let (_, text) = call(Request::get("https://run.example/squares/12")).await;
        assert_eq!(text, r#"{"n":12,"square":144}"#);
    }
}
