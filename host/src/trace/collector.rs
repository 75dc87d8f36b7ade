//! The way to the collector: the host's own egress, without the filter, for the operator names the collector.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use crate::{
    egress::{Egress, Ranges},
    text::chain,
};

/// Bytes of a collector's answer, which says how many spans it did not take.
const ANSWER: usize = 64 << 10;

/// Why the last batch did not arrive.
pub(super) type Cause = Arc<Mutex<String>>;

/// Sends batches to the collector, each over a connection of its own.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) egress: Arc<Egress>,
    /// The exporter's thread belongs to no runtime.
    pub(super) runtime: Handle,
    /// For one attempt, from the connection to the end of the answer.
    pub(super) limit: Duration,
    pub(super) cause: Cause,
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (egress, limit) = (self.egress.clone(), self.limit);
        let work = async move {
            let request = request.map(Full::new);
            let response = egress.send(request, Ranges::Public, limit).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // Made in the runtime, for time-outs are of one.
        let bounded = async move { tokio::time::timeout(limit, work).await };
        let answered = match self.runtime.spawn(bounded).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => Err(format!("no answer within {limit:?}").into()),
            Err(stopped) => Err(stopped.into()),
        };
        let cause = match &answered {
            Ok(response) => response.status().to_string(),
            Err(error) => chain(&**error),
        };
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = cause;
        answered
    }
}
