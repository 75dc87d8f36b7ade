//! Charges a card: a public web page may call this, and the payment provider's key is in neither's reach: the
//! runtime writes it into the one request that it is for, and this code cannot read it.
//!
//! Shows a bound secret, a parameter, JSON in and a form out, time limits, and errors that say what to mend.
//!
//! The provider is Stripe, or what speaks like it. A caller that sends an `idempotency-key` may repeat a call that broke:
//! the card is charged once.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/charge.wasm --sha256 …
//! --secret-env api-key=STRIPE_KEY --bind 'api-key=POST https://api.stripe.com/v1/charges authorization: Bearer {}'
//! --allow 'POST https://api.stripe.com/v1/charges' --param api=https://api.stripe.com`
//! Call: `curl -H "Authorization: Bearer $TOKEN" -H 'idempotency-key: order-7'
//! -d '{"amount":1999,"currency":"eur","card":"tok_visa"}' http://localhost:8080/run`

use std::time::Duration;

use webtask::{Error, Method, Request, Response, StatusCode, params};

/// What the web page sends. The amount is in the currency's smallest unit, such as cents.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    amount: u64,
    currency: String,
    card: String,
}

/// What it gets, and as much of the provider's answer as is read.
#[derive(serde::Deserialize, serde::Serialize)]
struct Charge {
    id: String,
    amount: u64,
    status: String,
}

#[webtask::main(secrets("api-key"))]
async fn main(request: Request) -> Result<Response, Error> {
    if request.method() != Method::POST {
        return Err(Error::method_not_allowed("POST"));
    }
    let idempotency_key = request.header("idempotency-key");
    let body = request.into_body().bytes_up_to(4096).await?;
    let order: Order = webtask::Body::from(body).json().await?;
    check(&order)?;

    let api = params::require("api")?;
    let mut call = Request::post(format!("{api}/v1/charges"))
        .form(&[
            ("amount", order.amount.to_string().as_str()),
            ("currency", &order.currency),
            ("source", &order.card),
        ])
        .timeout(Duration::from_secs(8));
    if let Some(key) = idempotency_key {
        call = call.header("idempotency-key", key);
    }
    let response = call.send().await.map_err(|cause| {
        Error::bad_gateway("the payment provider cannot be reached").with_source(cause)
    })?;

    match response.status() {
        status if status.is_success() => {
            let charge: Charge = response.into_body().json().await?;
            let (amount, id) = (charge.amount, &charge.id);
            webtask::log::info!("charged {amount} {} as {id}", order.currency);
            webtask::json(&charge)
        }
        StatusCode::PAYMENT_REQUIRED => Err(Error::new(
            StatusCode::PAYMENT_REQUIRED,
            "the card was declined",
        )),
        status => Err(Error::bad_gateway("the payment provider failed")
            .with_source(format!("it answered {status}"))),
    }
}

fn check(order: &Order) -> Result<(), Error> {
    if !(1..=99_999_999).contains(&order.amount) {
        return Err(Error::bad_request(
            "amount: from 1 to 99999999, in the smallest unit",
        ));
    }
    if order.currency.len() != 3 || !order.currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(Error::bad_request(
            "currency: three lower-case letters, such as eur",
        ));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !(1..=255).contains(&order.card.len()) || !order.card.bytes().all(plain) {
        return Err(Error::bad_request(
            "card: a token from the provider's own page, such as tok_visa",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::main;
    use webtask::testing::World;
    use webtask::{ErrorKind, Request, Response};

    const ORDER: &str = r#"{"amount":1999,"currency":"eur","card":"tok_visa"}"#;

    fn order(body: &'static str) -> Request {
        let order = Request::post("https://run.example/").body(body);
        order.build().expect("a request")
    }

    fn world() -> World {
        let world = World::new().bound("api-key");
        world.param("api", "https://api.stripe.com")
    }

    #[webtask::test]
    async fn an_order_becomes_a_form_and_a_charge_json() {
        let world = world().origin(async |request| {
            let form = request.into_body().text().await;
            assert_eq!(
                form.ok().as_deref(),
                Some("amount=1999&currency=eur&source=tok_visa")
            );
            Ok(webtask::text(
                r#"{"id":"ch_1","amount":1999,"status":"succeeded","livemode":false}"#,
            ))
        });
        let response = world.call(main, order(ORDER)).await;
        let charge = response.into_body().text().await;
        assert_eq!(
            charge.ok().as_deref(),
            Some(r#"{"id":"ch_1","amount":1999,"status":"succeeded"}"#)
        );
    }

    #[webtask::test]
    async fn what_the_provider_does_is_not_the_callers_fault() {
        for (origin, status) in [
            (world().origin(async |_| std::future::pending().await), 502),
            (
                world().origin(async |_| Err(ErrorKind::Connect.into())),
                502,
            ),
            (world().origin(async |_| Ok(webtask::text("no JSON"))), 502),
            (world().origin(async |_| Ok(status(401))), 502),
            (world().origin(async |_| Ok(status(402))), 402),
        ] {
            let response = origin.call(main, order(ORDER)).await;
            assert_eq!(response.status().as_u16(), status);
        }
    }

    fn status(status: u16) -> Response {
        let mut response = Response::default();
        *response.status_mut() = status.try_into().expect("a status");
        response
    }
}
