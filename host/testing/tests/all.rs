//! The harness, as an author uses it.

use bytes::Bytes;
use http::{Request, Response};
use webtask_testing::{Error, Origin, Running, Webtask};
use webtask_tests::examples;

const ORDER: &str = r#"{"amount":1999,"currency":"eur","card":"tok_visa"}"#;

async fn charge(shop: &Origin, granted: bool) -> Result<Running, Error> {
    let charges = format!("POST {}/v1/charges", shop.url());
    let webtask = Webtask::new(examples::CHARGE)
        .bind(
            "api-key",
            "sk_test_1",
            &format!("{charges} authorization: Bearer {{}}"),
        )
        .param("api", shop.url());
    match granted {
        true => webtask.allow(&charges).start().await,
        false => webtask.start().await,
    }
}

fn order() -> Result<Request<Bytes>, http::Error> {
    Request::post("/").body(Bytes::from(ORDER))
}

#[tokio::test]
async fn a_webtask_is_called_and_calls() -> Result<(), Error> {
    let shop = Origin::start(|_| {
        let charge = r#"{"id":"ch_1","amount":1999,"status":"succeeded"}"#;
        Response::new(charge.into())
    })
    .await?;
    let webtask = charge(&shop, true).await?;
    let answer = webtask.send(order()?).await?;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let seen = shop.seen();
    let [call] = seen.as_slice() else {
        unreachable!("one call: {seen:?}");
    };
    assert_eq!(call.headers()["authorization"], "Bearer sk_test_1");
    let shown = format!("{webtask:?} {shop:?}");
    assert!(
        !shown.contains("sk_test_1") && !shown.contains("wt1."),
        "{shown}"
    );
    assert!(String::from_utf8_lossy(call.body()).contains("amount=1999"));
    Ok(())
}

#[tokio::test]
async fn the_log_says_what_a_denied_call_wants() -> Result<(), Error> {
    let shop = Origin::start(|_| Response::default()).await?;
    let webtask = charge(&shop, false).await?;
    let answer = webtask.send(order()?).await?;
    assert_eq!(answer.status(), 502, "{answer:?}");
    assert!(shop.seen().is_empty());
    let log = webtask.log().await?;
    let id = &answer.headers()["webtask-request-id"];
    let told = log.iter().any(|line| {
        line.message.contains("--allow 'POST http://127.0.0.1") && *id == line.request_id
    });
    assert!(told, "{log:#?}");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said_when_it_starts() {
    let start = async |webtask: Webtask| webtask.start().await.map(drop).expect_err("it is wrong");
    let missing = start(Webtask::new("missing.wasm")).await;
    assert!(
        matches!(&missing, Error::Component { .. }) && missing.to_string().contains("missing.wasm")
    );
    let hello = || Webtask::new(examples::HELLO);
    assert!(matches!(
        start(hello().allow("GET everything")).await,
        Error::Text { what: "grant", .. }
    ));
    assert!(matches!(
        start(hello().bind("a", "b", "c")).await,
        Error::Text { what: "slot", .. }
    ));
    assert!(matches!(
        start(hello().secret("a name", "b")).await,
        Error::Token(_)
    ));
}

/// Two of them share nothing, and hold what any client wants to know.
#[tokio::test]
async fn each_runs_by_itself() -> Result<(), Error> {
    let (one, two) = (
        Webtask::new(examples::HELLO).start().await?,
        Webtask::new(examples::HELLO).start().await?,
    );
    assert_ne!(one.url(), two.url());
    assert_eq!(one.get("/").await?.body(), "Hello, world!\n");
    assert_eq!(two.get("").await?.status(), 200);
    drop(one);
    assert_eq!(two.get("/?again").await?.status(), 200);
    Ok(())
}
