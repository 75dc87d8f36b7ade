#[webtask::main]
async fn main(
    request: webtask::Request,
    secrets: Vec<String>,
) -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::text("hello"))
}
