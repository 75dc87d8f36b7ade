//! Makes the mistakes of an author, each at a path of its own.
use webtask::{Error, Request, Response, http, log, secrets};
use webtask_test_guests::query;

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let asked = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    log::info!("asked for {asked}");
    match request.uri().path() {
        "/panic" => first_item(&[]),
        "/abort" => give_up(),
        "/secret" => read_key().map(|_| ())?,
        "/call" => {
            let url = query(&asked, "url").unwrap_or_default();
            let request = http::Request::get(url).body(webtask::Body::empty());
            webtask::send(request.expect("a URL")).await?;
        }
        "/loop" => count_up(),
        "/wait" => wait().await,
        "/memory" => gather(),
        "/deep" => descend(0),
        _ => {}
    }
    Ok(webtask::text("no mistake"))
}

#[inline(never)]
fn first_item(items: &[&str]) {
    let item = items.first().expect("the order has no items");
    log::info!("{item}");
}

#[inline(never)]
fn give_up() {
    std::process::abort();
}

#[inline(never)]
fn read_key() -> Result<String, secrets::Error> {
    secrets::get("stripe-key")
}

#[inline(never)]
fn count_up() {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

#[inline(never)]
async fn wait() {
    webtask::sleep(std::time::Duration::from_secs(3600)).await;
}

#[inline(never)]
fn gather() {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

#[inline(never)]
fn descend(depth: u64) {
    let here = std::hint::black_box([depth; 64]);
    if here[0] < u64::MAX {
        descend(here[0].wrapping_add(1));
    }
    std::hint::black_box(here);
}
