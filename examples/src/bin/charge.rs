//! Charges a card: a public web page may call this, and the payment provider's key is in neither's reach: the
//! runtime writes it into the one request that it is for, and this code cannot read it.
//!
//! Shows a bound secret, a parameter, JSON in and out, an outbound request, and errors that say what to mend.
//!
//! Token: `webtask token create --keys keys.toml --url https://example.com/charge.wasm --sha256 …
//! --secret-env api-key=STRIPE_KEY --bind 'api-key=POST https://api.stripe.com/v1/charges authorization: Bearer {}'
//! --allow 'POST https://api.stripe.com/v1/charges'`, and for another provider
//! `--param api=https://payments.example.com`, with its URLs in the other two.
//! Call: `curl -H "Authorization: Bearer $TOKEN" -d '{"amount":1999,"currency":"eur","card":"tok_visa"}' http://localhost:8080/run`

use webtask::http::{Method, StatusCode, header};
use webtask::{Error, Request, Response, params};

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
        return Err(Error::method_not_allowed("POST an order"));
    }
    let body = request.into_body().bytes_up_to(4096).await?;
    let order: Order = webtask::Body::from(body).json().await?;
    check(&order)?;

    let api = params::get("api").unwrap_or_else(|| "https://api.stripe.com".to_owned());
    let form = format!(
        "amount={}&currency={}&source={}",
        order.amount, order.currency, order.card
    );
    let request = webtask::http::Request::post(format!("{api}/v1/charges"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into())?;
    let response = webtask::send(request).await.map_err(|cause| {
        Error::bad_gateway("the payment provider cannot be reached").with_source(cause)
    })?;

    match response.status() {
        status if status.is_success() => {
            let charge: Charge = response.into_body().json().await?;
            webtask::log::info!(
                "charged {} {} as {}",
                charge.amount,
                order.currency,
                charge.id
            );
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

/// What passes can stand in a form as it is.
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
