#[webtask::main]
async fn main(self) -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::text("hello"))
}
