//! WASI 0.3 as it is.
use crate::{Fields, Request, Response};
use webtask::__bindings::{wit_future, wit_stream};
use webtask::__private::spawn_local;

/// Exports an async closure as the handler, and makes a program of the file.
#[macro_export]
macro_rules! raw {
    ($handle:expr) => {
        struct Raw;
        impl $crate::Guest for Raw {
            async fn handle(
                request: $crate::Request,
            ) -> Result<$crate::Response, $crate::ErrorCode> {
                $crate::call($handle, request).await
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

/// Calls a closure whose types are known by this.
pub async fn call<F>(handle: F, request: Request) -> Result<Response, crate::ErrorCode>
where
    F: AsyncFnOnce(Request) -> Result<Response, crate::ErrorCode>,
{
    handle(request).await
}

/// The path and query of a request.
pub fn path(request: &Request) -> String {
    request.get_path_with_query().unwrap_or_default()
}

/// A response of status 200 with a text and these headers, as many as the host takes.
pub fn response(headers: &[(&str, &str)], text: String) -> Response {
    let fields = Fields::new();
    for (name, value) in headers {
        let _ = fields.append(name, value.as_bytes());
    }
    let (mut to, contents) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (response, _) = Response::new(fields, Some(contents), trailers);
    drop(spawn_local(async move {
        let _ = to.write_all(text.into_bytes()).await;
        drop((to, end));
    }));
    response
}
