#[webtask::main]
async fn main<T>(request: webtask::Request) -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::text("hello"))
}
