//! Time limits of outbound calls. Only a component that sets one holds this code.
use crate::body::{Kind, Pending, Pieces};
use crate::executor::timeout_at;
use crate::wasi::{Passing, Sink};
use crate::{Body, Error, ErrorKind, Request, Response, SendError, StatusCode, host};
use bytes::Bytes;
use std::time::Duration;

/// The limits of one call. What is not set, the host's own bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    pub(crate) between_bytes: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) total: Option<Duration>,
}

type Send = fn(Request, Timeouts) -> Pending<'static, Result<Response, SendError>>;

/// The limits, and the code that keeps them: as a pointer, so that it is only where it is used.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    timeouts: Timeouts,
    send: Send,
}

impl Options {
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            send: |request, timeouts| Box::pin(send(request, timeouts)),
        }
    }

    pub(crate) async fn send(self, request: Request) -> Result<Response, SendError> {
        (self.send)(request, self.timeouts).await
    }
}

async fn send(request: Request, timeouts: Timeouts) -> Result<Response, SendError> {
    let sent = host::send(request, Some(&timeouts));
    let Some(total) = timeouts.total else {
        return sent.await;
    };
    let until = host::now().saturating_add(nanoseconds(total));
    let response = timeout_at(until, sent).await;
    let response = response.unwrap_or_else(|| Err(ran_out()))?;
    Ok(response.map(|body| match body.0 {
        Kind::Pieces(body) => Body::pieces(Timed { body, until }),
        whole => Body(whole),
    }))
}

/// A body that must be whole at a time.
struct Timed {
    body: Box<dyn Pieces>,
    until: u64,
}

impl Pieces for Timed {
    fn len(&self) -> Option<u64> {
        self.body.len()
    }

    fn is_response(&self) -> bool {
        self.body.is_response()
    }

    fn chunk(&mut self) -> Pending<'_, Result<Option<Bytes>, Error>> {
        Box::pin(async move {
            let chunk = timeout_at(self.until, self.body.chunk()).await;
            chunk.unwrap_or_else(|| {
                Err(Error::new(StatusCode::GATEWAY_TIMEOUT, "").with_source(ran_out()))
            })
        })
    }

    // Not passed on inside the host, which knows nothing of the limit.
    fn pass_on<'a>(&'a mut self, _: &'a Sink) -> Option<Passing<'a>> {
        None
    }
}

fn ran_out() -> SendError {
    SendError::new(ErrorKind::Timeout, "the time limit of the call ran out")
}

/// As WASI counts, which ends after some 584 years.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
