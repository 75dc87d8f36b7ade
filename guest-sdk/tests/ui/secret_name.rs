#[webtask::main(secrets("stripe-key", "the other"))]
async fn main(request: webtask::Request) -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::text("hello"))
}
