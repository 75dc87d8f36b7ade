#[webtask::main]
fn main(request: webtask::Request) -> Result<webtask::Response, webtask::Error> {
    Ok(webtask::Response::new(request.into_body()))
}
