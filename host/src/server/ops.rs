//! The operations listener: for those who run the host, apart from the public one, which has none of this.

use std::{convert::Infallible, future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use super::{
    Phase,
    hangup::HangUp,
    listen::{Accepted, Listener, Plain},
    stall::Stalling,
    stream::Stream,
};
use crate::{Error, Host};

/// Connections at the same time: some scrapers, a balancer, a person.
const CONNECTIONS: usize = 64;
/// Time for a head, and for a reader to take something.
const PATIENCE: Duration = Duration::from_secs(15);
/// What `accept` waits after an error.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Everything that a route may look at.
struct State {
    phase: watch::Receiver<Phase>,
    host: Arc<Host>,
}

/// What OpenMetrics 1.0 calls its text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers on `listener`, in plain HTTP/1.1, until it is dropped.
pub(super) async fn serve(listener: Listener, phase: watch::Receiver<Phase>, host: Arc<Host>) {
    let state = Arc::new(State { phase, host });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = loop {
            tokio::select! {
                accepted = poll_fn(|cx| listener.poll_accept(cx)) => break accepted,
                Some(_) = tasks.join_next() => {}
            }
        };
        let Ok(Accepted { stream, .. }) = accepted else {
            tokio::time::sleep(BACK_OFF).await;
            continue;
        };
        let state = state.clone();
        tasks.spawn(async move {
            connection(stream, state).await;
            drop(place);
        });
    }
}

async fn connection(stream: Plain, state: Arc<State>) {
    let stream = match stream {
        Plain::Tcp(stream) => Stream::Tcp(Stalling::new(HangUp::new(stream), PATIENCE)),
        Plain::Unix(stream) => Stream::Unix(Stalling::new(stream, PATIENCE)),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = state.answer(&request);
        async { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection of the operations listener ended");
    }
}

impl State {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let answer = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/healthz") => Ok(("ok\n".to_owned(), TEXT)),
            (&Method::GET | &Method::HEAD, "/readyz") => self.ready().map(|text| (text, TEXT)),
            (&Method::GET | &Method::HEAD, "/metrics") => Ok((self.host.metrics(), OPENMETRICS)),
            _ => Err(Error::NotFound),
        };
        match answer {
            Ok((text, media_type)) => whole(text, media_type),
            // No record has an id of these.
            Err(error) => error.to_response(""),
        }
    }

    /// Whether new requests are welcome.
    fn ready(&self) -> Result<String, Error> {
        match *self.phase.borrow() {
            Phase::Serving => Ok("ready\n".to_owned()),
            Phase::Lingering | Phase::Draining => Err(Error::Draining),
        }
    }
}

fn whole(text: String, media_type: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
