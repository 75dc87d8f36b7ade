#[webtask::test]
async fn it_works(request: webtask::Request) {}

fn main() {}
