#[webtask::main]
async fn main(request: webtask::Request) {}
