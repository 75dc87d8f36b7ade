//! Sockets in, `Host::handle` once a request, never an error out.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

use crate::{Host, hangup::HangUp, stall::Stalling};

/// Time for the head of a request, and for a kept connection to send another one.
const HEAD: Duration = Duration::from_secs(15);
/// Time in which a caller must take something of its answer.
const STALL: Duration = Duration::from_secs(30);
/// About the bytes of a request's head; much longer ones are answered 431 by hyper.
const HEAD_BYTES: usize = 64 << 10;
/// What `accept` waits after an error such as EMFILE: long enough for descriptors to come free.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `host` on `listener` until `shutdown` is ready; then stops accepting and gives what runs
/// `drain` to finish.
pub async fn serve(
    listener: TcpListener,
    host: Arc<Host>,
    shutdown: impl Future<Output = ()>,
    drain: Duration,
) {
    let connections = Arc::new(Semaphore::new(host.limits().connections));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // Without a place for it, a connection waits in the kernel's queue.
        let place = tokio::select! {
            place = connections.clone().acquire_owned() => place,
            () = &mut shutdown => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match stream {
            Ok((stream, _)) => {
                let connection = graceful.watch(connection(stream, host.clone()));
                tokio::spawn(async move {
                    // What ends a connection is the peer's affair: resets, time-outs, bad requests.
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed; trying again");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    drop(listener);
    // An invocation may go on after its response is out, and its connection gone.
    let finished = async {
        graceful.shutdown().await;
        host.idle().await;
    };
    if tokio::time::timeout(drain, finished).await.is_err() {
        tracing::warn!(
            ?drain,
            "requests were still under way after the time to drain; leaving"
        );
    }
}

fn connection(
    stream: TcpStream,
    host: Arc<Host>,
) -> http1::Connection<
    TokioIo<Stalling<HangUp>>,
    impl hyper::service::HttpService<
        hyper::body::Incoming,
        ResBody = crate::HostBody,
        Error = Infallible,
        Future: Send,
    > + Send,
> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(
            error = &error as &io::Error as &dyn std::error::Error,
            "no TCP_NODELAY"
        );
    }
    http1::Builder::new()
        // Without a timer the time-out for the head does nothing.
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(
            TokioIo::new(Stalling::new(HangUp::new(stream), STALL)),
            service_fn(move |request| {
                let host = host.clone();
                async move { Ok(host.handle(request).await) }
            }),
        )
}
