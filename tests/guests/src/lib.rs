//! What the hostile guests share: the bindings as they are, without the SDK between.
pub use webtask::__bindings::exports::wasi::http::incoming_handler::Guest;
pub use webtask::__bindings::wasi;
pub use webtask::__bindings::wasi::http::types::*;

/// Exports `$handle` as the handler, and makes a program of the file.
#[macro_export]
macro_rules! raw {
    ($handle:path) => {
        struct Raw;
        impl $crate::Guest for Raw {
            fn handle(request: $crate::IncomingRequest, out: $crate::ResponseOutparam) {
                $handle(request, out)
            }
        }
        #[cfg(target_family = "wasm")]
        webtask::__private::export!(Raw with_types_in webtask::__bindings);
        fn main() {
            #[cfg(not(target_family = "wasm"))]
            webtask::__private::native::<Raw>();
        }
    };
}

/// Begins a response of status 200 with these headers, as many as the host takes.
pub fn begin(out: ResponseOutparam, headers: &[(&str, &str)]) -> OutgoingBody {
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(name, value.as_bytes());
    }
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("the first time");
    ResponseOutparam::set(out, Ok(response));
    body
}

/// Writes and flushes, blocking, 4 KiB at a time.
pub fn write(body: &OutgoingBody, bytes: &[u8]) {
    let stream = body.write().expect("no other stream");
    for chunk in bytes.chunks(4096) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

/// Answers with a whole text.
pub fn answer(out: ResponseOutparam, text: &str) {
    let body = begin(out, &[]);
    write(&body, text.as_bytes());
    let _ = OutgoingBody::finish(body, None);
}

/// The parameter `name` of a query, as it stands, without decoding.
pub fn query<'a>(path_and_query: &'a str, name: &str) -> Option<&'a str> {
    let query = path_and_query.split_once('?')?.1;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The number `name` in the query of a raw request, or `default`.
pub fn number(request: &IncomingRequest, name: &str, default: u64) -> u64 {
    let path = request.path_with_query().unwrap_or_default();
    query(&path, name)
        .and_then(|number| number.parse().ok())
        .unwrap_or(default)
}
