#[webtask::main]
async fn main() -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::text("hello"))
}
