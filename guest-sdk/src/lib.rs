//! Write webtasks: WebAssembly components that answer HTTP requests with only the rights their token grants.
//!
//! This is a whole one:
//!
//! ```no_run
#![doc = include_str!("../examples/hello.rs")]
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component; no other tool is needed. The size of a
//! component is its cold start, so a release profile with `opt-level = "s"`, `lto = "fat"`, `codegen-units = 1`
//! and `strip = true` pays.
//!
//! - A [`Request`] is read as far as it is looked at, a [`Response`] is that of the [`http`] crate, and the [`Body`] of
//!   both streams. JSON, forms, queries and [cookies](SetCookie) come with errors that say what is wrong where.
//! - [`Router`] calls a function by method and path; [`sse`] sends events while they happen.
//! - [`Request::post`] and its like, [`send`], [`get`], [`post`] and [`post_json`] make outbound requests, as far as the
//!   token grants them, within time limits.
//! - [`secrets`], [`params`] and [`invocation`] are what the token gives; [`log`] is where to write.
//! - [`token`] narrows other tokens, to hand them on.
//! - [`spawn`], [`sleep`] and [`timeout`] do several things at once, on one thread.
//! - [`Error`] is made by `?` from any error, and tells the caller nothing that it was not told to.
//! - [`testing`] runs a handler under plain `cargo test`, with fake secrets and a fake origin.
//!
//! The same source makes a component of WASI 0.2 or, with the feature `p3` of this package, of WASI 0.3: it
//! exports `wasi:http/handler@0.3.0` then and calls out through `wasi:http/client@0.3.0`. Nothing else changes
//! for the author. A program has the feature on or off as a whole.
//!
//! A panic traps: the message goes to the log, and the caller gets the host's answer 500.
//! A caller that hangs up ends the invocation quietly.

mod body;
mod builder;
mod client;
mod convert;
mod cookie;
#[cfg(any(feature = "form", feature = "json"))]
mod decode;
mod error;
mod executor;
#[cfg(target_family = "wasm")]
mod host;
pub mod invocation;
pub mod log;
#[cfg(not(feature = "p3"))]
#[cfg_attr(
    not(target_family = "wasm"),
    allow(dead_code, unused_imports, reason = "tests have a host of their own")
)]
mod p2;
#[cfg(feature = "p3")]
#[cfg_attr(
    not(target_family = "wasm"),
    allow(dead_code, unused_imports, reason = "tests have a host of their own")
)]
mod p3;
pub mod params;
mod request;
mod router;
pub mod secrets;
mod send_error;
mod serve;
pub mod sse;
mod stream;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod timeouts;
#[cfg(feature = "token")]
pub mod token;

#[cfg(not(target_family = "wasm"))]
use testing::host;

#[cfg(not(feature = "p3"))]
use p2 as wasi;
#[cfg(feature = "p3")]
use p3 as wasi;
#[doc(hidden)]
pub use wasi::bindings as __bindings;

pub use body::Body;
pub use builder::Builder;
pub use bytes::Bytes;
#[cfg(feature = "json")]
pub use client::post_json;
pub use client::{get, post, send};
pub use cookie::{SameSite, SetCookie};
pub use error::Error;
pub use executor::{Task, sleep, spawn, timeout};
pub use http::{self, HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
pub use request::Request;
pub use router::Router;
pub use send_error::{ErrorKind, SendError};
pub use stream::Writer;
pub use webtask_macro::{main, test};

/// A response, by the webtask or to it. `content-length` is set by itself where the length is known.
///
/// It is complete, and the invocation may end, at its last byte. Use [`http::Response::builder`] to build one.
pub type Response = http::Response<Body>;

/// A response of status 200 that holds `text`.
pub fn text(text: impl Into<Body>) -> Response {
    typed("text/plain; charset=utf-8", text.into())
}

/// A response of status 200 that holds `value` as JSON.
///
/// # Errors
/// If `value` cannot be said in JSON, as a map whose keys are not text.
#[cfg(feature = "json")]
pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Response, Error> {
    Ok(typed("application/json", Body::from_json(value)?))
}

/// A response of status 200 that holds `text` as a page. What strangers wrote must be escaped in it.
pub fn html(text: impl Into<Body>) -> Response {
    typed("text/html; charset=utf-8", text.into())
}

/// A response of status 303: the caller goes on with a `GET` of `location`.
///
/// # Errors
/// If `location` cannot be in a header.
pub fn redirect(location: &str) -> Result<Response, Error> {
    let location = HeaderValue::try_from(location)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().append(header::LOCATION, location);
    Ok(response)
}

fn typed(media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .append(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// What the expansion of `#[webtask::main]` calls.
#[doc(hidden)]
pub mod __private {
    pub use crate::__bindings::export;
    pub use crate::__guest as guest;
    pub use crate::wasi::{Guest, serve};
    #[cfg(feature = "p3")]
    pub use wit_bindgen::spawn_local;

    /// `main` of a webtask that was built for the machine it is written on: it only compiles there.
    pub fn native<T: Guest>() {
        eprintln!(
            "this is a webtask: build it with `cargo build --release --target wasm32-wasip2`"
        );
        std::process::exit(2);
    }
}
