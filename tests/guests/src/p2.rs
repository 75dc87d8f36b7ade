//! WASI 0.2 as it is.
use crate::call::fields;
use crate::wasi::http::outgoing_handler;
use crate::wasi::io::streams::{InputStream, OutputStream};
use crate::{
    Call, Fields, FutureIncomingResponse, IncomingBody, IncomingRequest, OutgoingBody,
    OutgoingRequest, OutgoingResponse, Pairs, ResponseOutparam,
};
use std::time::Duration;

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

/// A request that goes out.
pub type Outgoing = OutgoingRequest;

/// A request with nothing in it.
pub fn outgoing() -> Outgoing {
    Outgoing::new(Fields::new())
}

/// A call under way.
pub struct Exchange {
    to: Option<(OutputStream, OutgoingBody)>,
    coming: FutureIncomingResponse,
}

impl Exchange {
    /// Sends the head.
    pub fn begin(call: &Call<'_>) -> Result<Self, String> {
        let request = OutgoingRequest::new(fields(&call.fields)?);
        call.aim(&request)?;
        let body = call.body.map(|_| request.body().expect("the first time"));
        let coming = outgoing_handler::handle(request, Some(call.options()));
        let coming = coming.map_err(|code| format!("{code:?}"))?;
        let to = body.map(|body| (body.write().expect("the first time"), body));
        Ok(Self { to, coming })
    }

    /// Sends a piece of the body, as far as it is taken.
    pub async fn write(&mut self, bytes: &[u8]) {
        let Some((stream, _)) = &self.to else {
            return;
        };
        for chunk in bytes.chunks(4096) {
            if stream.blocking_write_and_flush(chunk).is_err() {
                return;
            }
        }
    }

    /// Ends the body.
    pub async fn finish(&mut self, trailers: Option<Fields>) -> Result<(), String> {
        let Some((stream, body)) = self.to.take() else {
            return Ok(());
        };
        drop(stream);
        OutgoingBody::finish(body, trailers).map_err(|code| format!("{code:?}"))
    }

    /// Waits for the head of the answer.
    pub async fn answer(&mut self) -> Result<Answer, String> {
        self.coming.subscribe().block();
        let response = self.coming.get().ok_or("no response")?;
        let response = response.map_err(|()| "taken")?;
        let response = response.map_err(|code| format!("{code:?}"))?;
        let body = response.consume().map_err(|()| "no body")?;
        Ok(Answer {
            status: response.status(),
            fields: response.headers().entries(),
            stream: body.stream().map_err(|()| "no stream")?,
            body,
        })
    }
}

/// An answer whose body is coming.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub fields: Pairs,
    stream: InputStream,
    body: IncomingBody,
}

impl Answer {
    /// The next bytes, at most `most`, or how the body ended.
    pub async fn read(&mut self, most: u64) -> Result<Vec<u8>, String> {
        let read = self.stream.blocking_read(most);
        read.map_err(|error| format!("{error:?}"))
    }

    /// What of `wanted` bytes is there within so much time.
    pub async fn read_soon(&mut self, wanted: u64, within: Duration) -> Vec<u8> {
        std::thread::sleep(within);
        self.stream.read(wanted).unwrap_or_default()
    }

    /// The trailers, once the body was read.
    pub async fn end(self) -> Result<Pairs, String> {
        drop(self.stream);
        let trailers = IncomingBody::finish(self.body);
        trailers.subscribe().block();
        match trailers.get() {
            Some(Ok(Ok(Some(fields)))) => Ok(fields.entries()),
            Some(Ok(Ok(None))) => Ok(Pairs::new()),
            other => Err(format!("{other:?}")),
        }
    }
}
