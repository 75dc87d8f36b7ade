//! What hyper does without a sandbox: hello, an echo, an upload, server-sent events, and files for the loader.
//!
//! `native [DIRECTORY]` prints its address. One task for each connection, on as many threads as it may have cores,
//! with the allocator of the command `webtask`: what differs from that is the webtask.

use std::{convert::Infallible, net::Ipv4Addr, path::Path, pin::Pin, task::Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response,
    body::{Body, Frame, Incoming},
    header,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Out = Either<Full<Bytes>, UnsyncBoxBody<Bytes, hyper::Error>>;

/// So many events, each a frame of its own as a guest writes them.
struct Events(u32);

impl Body for Events {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.0 == 0 {
            return Poll::Ready(None);
        }
        // Every other time it is asked there is nothing: each event goes out by itself, as those of a clock do.
        self.0 -= 1;
        if self.0 % 2 == 1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n = self.0 / 2;
        let event = Bytes::from(format!("data: {n}\nid: {n}\n\n"));
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

fn text(text: impl Into<Bytes>) -> Response<Out> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    let kind = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

async fn answer(request: Request<Incoming>, files: Option<&Path>) -> Response<Out> {
    let path = request.uri().path();
    if let (Some(files), Some(name)) = (files, path.strip_prefix("/code/")) {
        let name = Path::new(name).file_name().unwrap_or_default();
        return text(std::fs::read(files.join(name)).unwrap_or_default());
    }
    if let Some(many) = path.strip_prefix("/events/") {
        let many: u32 = many.parse().unwrap_or(0);
        return Response::new(Either::Right(Events(2 * many).boxed_unsync()));
    }
    match (request.method(), path) {
        (&Method::POST, "/echo") => {
            Response::new(Either::Right(request.into_body().boxed_unsync()))
        }
        (&Method::POST, _) => {
            let (mut body, mut taken) = (request.into_body(), 0);
            while let Some(Ok(frame)) = body.frame().await {
                taken += frame.data_ref().map_or(0, Bytes::len);
            }
            text(format!("{taken}"))
        }
        _ => text(Bytes::from_static(b"Hello, world!\n")),
    }
}

async fn serve(stream: TcpStream, files: Option<&'static Path>) {
    let _ = stream.set_nodelay(true);
    let service =
        service_fn(move |request| async move { Ok::<_, Infallible>(answer(request, files).await) });
    let served = hyper::server::conn::http1::Builder::new();
    // A caller that leaves is what the caller does.
    let _ = served.serve_connection(TokioIo::new(stream), service).await;
}

fn main() -> std::io::Result<()> {
    let files = std::env::args_os().nth(1);
    let files: Option<&'static Path> = files.map(|files| &*Box::leak(Path::new(&files).into()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("http://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, files));
        }
    })
}
