//! Tries, in fifty ways, to get hold of the bound secret `key`, which the host sends to `target` below `/slot/`, or to
//! send it to `other`. `?way=NAME` tries one and answers with all that it got; `/ways` lists them.
//!
//! `target` is an honest echo that does what a path asks of it; see `tests/all/bound/echo.rs`.
mod ask;
mod read;
mod reflect;
mod send;
mod set;

use webtask::{Error, Request, Response, params};
use webtask_test_guests::{Call, query};

/// One function each.
macro_rules! ways {
    ($($kind:ident: $($way:ident)*;)*) => {
        const WAYS: &[&str] = &[$($(stringify!($way)),*),*];

        async fn try_one(way: &str, place: &Place) -> Option<Vec<u8>> {
            $($(if way == stringify!($way) {
                return Some($kind::$way(place).await);
            })*)*
            None
        }
    };
}

ways! {
    ask: ask_by_name ask_in_other_words ask_for_names read_environment read_arguments read_parameters read_files
        read_own_memory read_own_request;
    reflect: reflect_in_body reflect_in_header reflect_in_header_name reflect_in_cookie reflect_in_location
        reflect_in_trailer reflect_in_error_page reflect_in_pieces reflect_base64 reflect_base64url reflect_hex
        reflect_percent reflect_json reflect_html reflect_utf16 reflect_gzip forced_gzip reflect_range forced_part
        reflect_as_early_hint reflect_as_upgrade;
    read: read_byte_by_byte read_until_a_stall read_until_a_break reflect_later reflect_later_elsewhere
        guess_by_what_is_held_back;
    send: placeholder_in_body placeholder_in_header placeholder_in_path other_host other_path other_method
        tricks_with_the_path tricks_with_the_host follow_a_redirect;
    set: set_the_header_too set_it_as_trailer smuggle_a_request name_it_a_hop tell_the_log;
}

/// Where it calls.
struct Place {
    target: String,
    other: String,
    request: Vec<u8>,
}

impl Place {
    /// What the echo is asked for.
    async fn echo(&self, asked: &str) -> Vec<u8> {
        let path = format!("/slot/echo?{asked}");
        Call::get(&self.target, &path).send().await
    }

    /// Each of them, one after the other.
    async fn echoes<S: AsRef<str>>(&self, asked: impl IntoIterator<Item = S>) -> Vec<u8> {
        each(asked, async |asked| self.echo(asked.as_ref()).await).await
    }
}

/// What came of each of them, one after the other.
async fn each<T>(tried: impl IntoIterator<Item = T>, way: impl AsyncFn(T) -> Vec<u8>) -> Vec<u8> {
    let mut got = Vec::new();
    for one in tried {
        got.extend(way(one).await);
    }
    got
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let uri = request.uri();
    let mut seen = format!("{uri} {:?} {:?}\n", uri.authority(), uri.scheme()).into_bytes();
    for (name, value) in request.headers() {
        seen.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    let place = Place {
        target: params::get("target").unwrap_or_default(),
        other: params::get("other").unwrap_or_default(),
        request: seen,
    };
    let asked = uri.path_and_query().map_or("", |path| path.as_str());
    let got = match try_one(query(asked, "way").unwrap_or_default(), &place).await {
        Some(got) => got,
        None => WAYS.join("\n").into_bytes(),
    };
    // What it got it also says wherever it can.
    println!("{}", String::from_utf8_lossy(&got));
    Ok(Response::new(got.into()))
}
