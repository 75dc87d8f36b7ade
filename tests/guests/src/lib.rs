//! What the hostile guests share: the bindings as they are, without the SDK between.
pub use webtask::__bindings::wasi;
pub use webtask::__bindings::wasi::http::types::*;
pub use webtask::__private::Guest;

mod call;
pub use call::{Call, Pairs};

#[cfg(not(feature = "p3"))]
mod p2;
#[cfg(not(feature = "p3"))]
pub use p2::*;
#[cfg(feature = "p3")]
mod p3;
#[cfg(feature = "p3")]
pub use p3::*;

/// The parameter `name` of a query, as it stands, without decoding.
pub fn query<'a>(path_and_query: &'a str, name: &str) -> Option<&'a str> {
    let query = path_and_query.split_once('?')?.1;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The number `name` of a query, or `default`.
pub fn query_number(path_and_query: &str, name: &str, default: u64) -> u64 {
    let number = query(path_and_query, name);
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or(default)
}

/// The number `name` in the query of a request, or `default`.
pub fn number(request: &webtask::Request, name: &str, default: u64) -> u64 {
    let path = request.uri().path_and_query();
    query_number(path.map_or("", |path| path.as_str()), name, default)
}
