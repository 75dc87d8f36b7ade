//! WASI 0.3 as it is.
use crate::call::fields;
use crate::wasi::http::client;
use crate::{Call, ErrorCode, Fields, Pairs, Request, Response};
use std::pin::pin;
use std::time::{Duration, Instant};
use webtask::__bindings::{wit_future, wit_stream};
use webtask::__private::spawn_local;
use webtask::Task;
use wit_bindgen::rt::async_support::{
    FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter,
};

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

/// A request that goes out.
pub type Outgoing = Request;

/// A request with nothing in it.
pub fn outgoing() -> Outgoing {
    let (_, trailers) = wit_future::new(|| Ok(None));
    Request::new(Fields::new(), None, trailers, None).0
}

/// How a body ends.
type End = Result<Option<Fields>, ErrorCode>;

/// A call under way.
pub struct Exchange {
    to: Option<(StreamWriter<u8>, FutureWriter<End>)>,
    coming: Option<Task<Result<Response, ErrorCode>>>,
}

impl Exchange {
    /// Sends the head.
    pub fn begin(call: &Call<'_>) -> Result<Self, String> {
        let head = fields(&call.fields)?;
        let (end, trailers) = wit_future::new(|| Ok(None));
        let (to, contents) = wit_stream::new();
        let (contents, to) = match call.body {
            Some(_) => (Some(contents), Some((to, end))),
            None => (None, None),
        };
        let (request, _) = Request::new(head, contents, trailers, Some(call.options()));
        call.aim(&request)?;
        let coming = Some(webtask::spawn(client::send(request)));
        Ok(Self { to, coming })
    }

    /// Sends a piece of the body, as far as it is taken.
    pub async fn write(&mut self, bytes: &[u8]) {
        if let Some((stream, _)) = &mut self.to {
            let _ = stream.write_all(bytes.to_vec()).await;
        }
    }

    /// Ends the body.
    pub async fn finish(&mut self, trailers: Option<Fields>) -> Result<(), String> {
        let Some((stream, end)) = self.to.take() else {
            return Ok(());
        };
        drop(stream);
        let written = end.write(Ok(trailers)).await;
        written.map_err(|_| "nobody took the end".to_owned())
    }

    /// Waits for the head of the answer.
    pub async fn answer(&mut self) -> Result<Answer, String> {
        let response = self.coming.take().ok_or("taken")?.await;
        let response = response.map_err(|code| format!("{code:?}"))?;
        let (status, fields) = (
            response.get_status_code(),
            response.get_headers().copy_all(),
        );
        let (_, result) = wit_future::new(|| Ok(()));
        let (stream, trailers) = Response::consume_body(response, result);
        Ok(Answer {
            status,
            fields,
            stream,
            trailers,
        })
    }
}

/// An answer whose body is coming.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub fields: Pairs,
    stream: StreamReader<u8>,
    trailers: FutureReader<End>,
}

impl Answer {
    /// The next bytes, at most `most`, or how the body ended.
    pub async fn read(&mut self, most: u64) -> Result<Vec<u8>, String> {
        let (status, bytes) = self.stream.read(Vec::with_capacity(most as usize)).await;
        match (status, bytes.is_empty()) {
            (StreamResult::Dropped, true) => Err("Closed".to_owned()),
            _ => Ok(bytes),
        }
    }

    /// What of `wanted` bytes is there within so much time.
    pub async fn read_soon(&mut self, wanted: u64, within: Duration) -> Vec<u8> {
        let until = Instant::now() + within;
        let mut got = Vec::new();
        while (got.len() as u64) < wanted && Instant::now() < until {
            let room = Vec::with_capacity(wanted as usize - got.len());
            let mut read = pin!(self.stream.read(room));
            let left = until.saturating_duration_since(Instant::now());
            let (status, bytes) = match webtask::timeout(left, read.as_mut()).await {
                Some(read) => read,
                None => read.cancel(),
            };
            got.extend(bytes);
            if status == StreamResult::Dropped {
                break;
            }
        }
        got
    }

    /// The trailers, once the body was read.
    pub async fn end(self) -> Result<Pairs, String> {
        drop(self.stream);
        let trailers = self.trailers.await.map_err(|code| format!("{code:?}"))?;
        Ok(trailers.map_or_else(Pairs::new, |fields| fields.copy_all()))
    }
}
