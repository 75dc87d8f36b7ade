#[webtask::main(threads = 2)]
async fn main(request: webtask::Request) -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::text("hello"))
}
