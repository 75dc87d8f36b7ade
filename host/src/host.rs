//! `Host`: everything a request needs, and the straight line that it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body::Body as _;
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use wasmtime_wasi_http::WasiBody;
use webtask_token::{Keyring, Opened};

use crate::{
    Config, Error, Limits,
    body::{HostBody, RequestBody, ResponseBody},
    capability::invocation::Invocation,
    carrier::{self, Carrier},
    ctx::Ctx,
    egress::Egress,
    invoke::Run,
    loader::Loader,
    record::Record,
    runtime::Runtime,
};

/// Whether the host or a guest wrote an answer.
const SOURCE: HeaderName = HeaderName::from_static("webtask-source");
/// The id of the request, as in every record of it.
const REQUEST_ID: HeaderName = HeaderName::from_static("webtask-request-id");

/// The webtask runtime: opens tokens, loads the code they name and runs it with only their rights.
pub struct Host {
    keyring: Keyring,
    limits: Limits,
    egress: Arc<Egress>,
    loader: Loader,
    places: Arc<Semaphore>,
    ids: Ids,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why a host cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The WebAssembly engine cannot start here.
    #[error("the WebAssembly engine cannot start")]
    Engine(#[source] wasmtime::Error),
    /// The operating system gives no random bytes.
    #[error("no random bytes from the operating system")]
    Random(#[source] getrandom::Error),
}

/// A guest's response that has begun.
struct Answer {
    response: Response<WasiBody>,
    run: Run,
    limit: u64,
    place: OwnedSemaphorePermit,
}

impl Host {
    /// A host with `config`. Takes address space for the pool of instances, and starts one thread.
    pub fn new(config: Config) -> Result<Self, StartError> {
        let Config {
            keyring,
            limits,
            code,
            private,
        } = config;
        let runtime = Runtime::new(&limits).map_err(StartError::Engine)?;
        let egress = Arc::new(Egress::new(private));
        Ok(Self {
            loader: Loader::new(runtime, egress.clone(), code, limits.clone()),
            places: Arc::new(Semaphore::new(limits.invocations as usize)),
            ids: Ids::new()?,
            keyring,
            limits,
            egress,
        })
    }

    /// The numbers in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Answers `request`. Never fails: whatever goes wrong becomes an answer and a record.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<HostBody> {
        let mut record = Record::new(self.ids.next(), request.method());
        let request_id = record.request_id.clone();
        let is_head = request.method() == Method::HEAD;
        let in_path = request.uri().path().starts_with("/t/");
        let (mut response, source) = match self.answer(request, &mut record).await {
            Ok(Answer {
                mut response,
                run,
                limit,
                place,
            }) => {
                drop_own_fields(&mut response);
                record.status = response.status().as_u16();
                record.whole_at = if is_head {
                    Some(0)
                } else {
                    declared_length(&response)
                };
                let response = response
                    .map(|body| Either::Right(ResponseBody::new(body, run, limit, record, place)));
                (response, "guest")
            }
            Err(error) => {
                let response = error.to_response(&request_id);
                record.failed(&error);
                record.status = error.status();
                record.sent = response.body().size_hint().lower();
                (response.map(Either::Left), "host")
            }
        };
        let headers = response.headers_mut();
        headers.insert(SOURCE, HeaderValue::from_static(source));
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if in_path {
            // The URL is a credential: no link out of the answer may carry it along.
            headers.insert(
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            );
        }
        response
    }

    /// The way of one request: each step is one call into one module, in this order.
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Answer, Error> {
        let (token, carrier) = carrier::take(&mut request)?;
        let opened = self.keyring.open(&token, now())?;
        record.token_id = opened.id.to_string();
        record.kid = opened.kid.to_string();
        record.tenant.clone_from(&opened.claims.tenant);
        permit(&opened, carrier)?;
        let limits = self.limits.lowered(&opened.claims.lim);
        check_head(&request, &limits)?;

        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::Overloaded)?;
        let webtask = self
            .loader
            .load(&opened.claims.url, opened.claims.sha256)
            .await?;
        record.digest = Some(webtask.digest);

        let invocation = Invocation {
            tenant: record.tenant.clone(),
            token_id: record.token_id.clone(),
            request_id: record.request_id.clone(),
            started: Instant::now(),
            wall: limits.wall,
        };
        let ctx = Ctx::new(
            Arc::new(opened.claims),
            Arc::new(invocation),
            self.egress.clone(),
            &limits,
        );
        let received = record.received.clone();
        let request = request.map(|body| RequestBody::new(body, limits.request_bytes, received));
        match webtask.invoke(ctx, &limits, request).await {
            Ok((response, run)) => Ok(Answer {
                response,
                run,
                limit: limits.response_bytes,
                place,
            }),
            Err(_) if record.received.too_large.load(Ordering::Relaxed) => {
                Err(Error::BodyTooLarge {
                    limit: limits.request_bytes,
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What the token itself must allow before anything is loaded.
fn permit(opened: &Opened, carrier: Carrier) -> Result<(), Error> {
    let claims = &opened.claims;
    if carrier == Carrier::Path && !claims.via.contains(&webtask_token::Carrier::Path) {
        return Err(Error::Denied(
            "the token may not stand in a URL; mint one with --via path".into(),
        ));
    }
    // A restriction that is not enforced yet is refused, never ignored.
    if claims.lim.rate.is_some() {
        return Err(Error::Denied(
            "the token has the limit rate, which this version does not enforce".into(),
        ));
    }
    if claims
        .secrets
        .values()
        .any(|secret| !secret.slots.is_empty())
    {
        return Err(Error::Denied(
            "the token has a bound secret, which this version does not serve".into(),
        ));
    }
    Ok(())
}

/// What can be refused from the head alone.
fn check_head(request: &Request<Incoming>, limits: &Limits) -> Result<(), Error> {
    if request.body().size_hint().lower() > limits.request_bytes {
        return Err(Error::BodyTooLarge {
            limit: limits.request_bytes,
        });
    }
    let host = request.headers().get(header::HOST).map(HeaderValue::to_str);
    match (request.uri().authority(), host) {
        (Some(_), _) | (None, Some(Ok(_))) => Ok(()),
        _ => Err(Error::BadRequest("no host field")),
    }
}

/// Guests cannot set `webtask-*`, which is how a caller tells the host's answers from theirs.
fn drop_own_fields(response: &mut Response<WasiBody>) {
    let own: Vec<HeaderName> = response
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("webtask-"))
        .cloned()
        .collect();
    for name in own {
        response.headers_mut().remove(name);
    }
}

fn declared_length(response: &Response<WasiBody>) -> Option<u64> {
    response
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Unix seconds; a clock before 1970 reads as 0, at which no token is valid yet.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Request ids: a random prefix for the process and a counter, so that no two hosts share one.
struct Ids {
    process: String,
    next: AtomicU64,
}

impl Ids {
    fn new() -> Result<Self, StartError> {
        let process = getrandom::u32().map_err(StartError::Random)?;
        Ok(Self {
            process: format!("{process:08x}"),
            next: AtomicU64::new(1),
        })
    }

    fn next(&self) -> String {
        format!(
            "{}-{:06x}",
            self.process,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}
