//! WASI 0.2 as it is.
use crate::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

/// Exports a closure as the handler, and makes a program of the file.
#[macro_export]
macro_rules! raw {
    ($handle:expr) => {
        struct Raw;
        impl $crate::Guest for Raw {
            fn handle(request: $crate::IncomingRequest, out: $crate::ResponseOutparam) {
                let handle: fn($crate::IncomingRequest, $crate::ResponseOutparam) = $handle;
                handle(request, out)
            }
        }
        #[cfg(target_family = "wasm")]
        webtask::__private::export!(Raw with_types_in webtask::__bindings::generated);
        fn main() {
            #[cfg(not(target_family = "wasm"))]
            webtask::__private::native::<Raw>();
        }
    };
}

/// The path and query of a request.
pub fn path(request: &IncomingRequest) -> String {
    request.path_with_query().unwrap_or_default()
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
