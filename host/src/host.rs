//! `Host`: everything a request needs, and the straight line that it takes.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header, uri::Authority};
use http_body::Body as _;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tokio::{sync::Semaphore, time::Instant};
use wasmtime_wasi_http::WasiBody;
use webtask_token::Keyring;

use crate::{
    Config, Error, Limits, api,
    audit::Policy,
    body::{HostBody, RequestBody, ResponseBody},
    capability::invocation::Invocation,
    carrier, cors,
    ctx::Ctx,
    egress::{Egress, EgressError},
    gate::Gate,
    invoke::Run,
    loader::{Loader, Origins},
    record::Record,
    rights::Rights,
    runtime::Runtime,
    text::hex,
};

/// Whether the host or a guest wrote an answer.
const SOURCE: HeaderName = HeaderName::from_static("webtask-source");
/// The id of the request, as in every record of it.
const REQUEST_ID: HeaderName = HeaderName::from_static("webtask-request-id");

/// The webtask runtime: opens tokens, loads the code they name and runs it with only their rights.
pub struct Host {
    gate: Gate,
    /// The platform's own, lowered by its policy.
    limits: Limits,
    policy: Option<Arc<Policy>>,
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
    /// Outbound connections cannot be made as configured.
    #[error("no outbound connections")]
    Egress(#[from] EgressError),
    /// The WebAssembly engine cannot start here.
    #[error("the WebAssembly engine cannot start")]
    Engine(#[source] wasmtime::Error),
    /// The operating system gives no random bytes.
    #[error("no random bytes from the operating system")]
    Random(#[source] getrandom::Error),
}

/// Who answers.
enum Reply {
    Guest(Answer),
    Host(Response<Full<Bytes>>),
}

/// A guest's response that has begun.
struct Answer {
    response: Response<WasiBody>,
    run: Run,
    rights: Arc<Rights>,
}

impl Host {
    /// A host with `config`. Takes address space for the pool of instances, and starts one thread.
    pub fn new(config: Config) -> Result<Self, StartError> {
        let Config {
            keyring,
            revocations,
            limits,
            code,
            mirrors,
            registries,
            private,
            dns,
            ca,
            policy,
        } = config;
        let policy = policy.map(Arc::new);
        let limits = match &policy {
            Some(policy) => limits.lowered(policy.limits()),
            None => limits,
        };
        let runtime = Runtime::new(&limits).map_err(StartError::Engine)?;
        let egress = Arc::new(Egress::new(private, &dns, &ca, &limits)?);
        Ok(Self {
            loader: Loader::new(
                runtime,
                egress.clone(),
                Origins {
                    allowed: code,
                    mirrors,
                    registries,
                },
                limits.clone(),
                policy.clone(),
            ),
            places: Arc::new(Semaphore::new(limits.invocations as usize)),
            ids: Ids::new()?,
            gate: Gate::new(keyring, revocations),
            limits,
            policy,
            egress,
        })
    }

    /// The numbers in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes `keyring` for all requests from now on; what is under way goes on with the old one.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.gate.replace_keyring(keyring);
    }

    /// Ready once no invocation runs, also of those whose response is out.
    pub(crate) async fn idle(&self) {
        // Never closed, so this is an error for nobody.
        let _ = self.places.acquire_many(self.limits.invocations).await;
    }

    /// Answers `request`. Never fails: whatever goes wrong becomes an answer and a record.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<HostBody> {
        let mut record = Record::new(self.ids.next(), request.method());
        let request_id = record.request_id.clone();
        let seen = Seen::of(&request);
        let answered = if seen.preflight {
            Ok(Reply::Host(cors::preflight(&request)))
        } else {
            self.answer(request, &mut record).await
        };
        let mut restricted = false;
        let (mut response, source) = match answered {
            Ok(Reply::Guest(answer)) => {
                restricted = answer.rights.token.origins().is_some();
                (answer.into_response(record, seen.head), "guest")
            }
            Ok(Reply::Host(response)) => {
                record.answered();
                (own(response, record), "host")
            }
            Err(error) => {
                record.failed(&error);
                (own(error.to_response(&request_id), record), "host")
            }
        };
        let headers = response.headers_mut();
        headers.insert(SOURCE, HeaderValue::from_static(source));
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if !seen.preflight {
            cors::expose(headers, seen.origin.as_ref(), restricted);
        }
        if seen.in_path {
            // The URL is a credential: no link out of the answer may carry it along.
            let value = HeaderValue::from_static("no-referrer");
            headers.insert(header::REFERRER_POLICY, value);
        }
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        check_head(&request)?;
        match request.uri().path() {
            "/v1/revoke" => api::revoke(&self.gate, request, record)
                .await
                .map(Reply::Host),
            "/v1/tokens" => api::mint(&self.gate, request, record)
                .await
                .map(Reply::Host),
            _ => self.run(request, record).await.map(Reply::Guest),
        }
    }

    /// The way of one request: each step is one call into one module, in this order.
    async fn run(
        &self,
        mut request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Answer, Error> {
        let (token, carrier) = carrier::take(&mut request)?;
        let opened = self.gate.open(&token)?;
        record.of(&opened);
        self.gate.unrevoked(&opened)?;
        let rights = Arc::new(Rights::of(opened, &self.limits, self.policy.as_ref())?);
        record.rights = Some(rights.clone());
        self.gate.admit(&rights, carrier, &request)?;
        let limit = rights.limits.request_bytes;
        if request.body().size_hint().lower() > limit {
            return Err(Error::BodyTooLarge { limit });
        }

        // Loading has places of its own: slow origins keep no invocation from running.
        let webtask = self.loader.load(&rights.url, rights.sha256).await?;
        record.digest = Some(webtask.digest);
        rights.meet(&webtask.needs)?;
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| Error::Overloaded)?;

        let invocation = Invocation {
            tenant: record.tenant.clone(),
            token_id: record.token_id.clone(),
            request_id: record.request_id.clone(),
            component: hex(&webtask.digest),
            started: Instant::now(),
            wall: rights.limits.wall,
        };
        let (egress, spent) = (self.egress.clone(), record.spent.clone());
        let ctx = Ctx::new(rights.clone(), Arc::new(invocation), egress, spent);
        let received = record.received.clone();
        let request = request.map(|body| RequestBody::new(body, limit, received));
        let invoked = webtask.invoke(ctx, &rights.limits, request, place).await;
        // Also where the guest took the cut body for a whole one: its answer is to another request.
        if record.received.too_large.load(Ordering::Relaxed) {
            return Err(Error::BodyTooLarge { limit });
        }
        match invoked {
            Ok((response, run)) => Ok(Answer {
                response,
                run,
                rights,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// What of a request its answer needs, after the request is gone.
struct Seen {
    head: bool,
    in_path: bool,
    preflight: bool,
    origin: Option<HeaderValue>,
}

impl Seen {
    fn of<B>(request: &Request<B>) -> Self {
        Self {
            head: request.method() == Method::HEAD,
            in_path: request.uri().path().starts_with("/t/"),
            preflight: cors::is_preflight(request),
            origin: request.headers().get(header::ORIGIN).cloned(),
        }
    }
}

/// An answer of the host's own, whose record is complete.
fn own(response: Response<Full<Bytes>>, mut record: Record) -> Response<HostBody> {
    record.status = response.status().as_u16();
    record.sent = response.body().size_hint().lower();
    response.map(Either::Left)
}

impl Answer {
    fn into_response(mut self, mut record: Record, head: bool) -> Response<HostBody> {
        carrier::drop_own(self.response.headers_mut());
        record.status = self.response.status().as_u16();
        record.whole_at = match record.status {
            204 | 304 => Some(0),
            _ if head => Some(0),
            // hyper frames by what the body says of itself, where no field says it.
            _ => declared_length(&self.response).or(self.response.body().size_hint().exact()),
        };
        let limit = self.rights.limits.response_bytes;
        self.response
            .map(|body| Either::Right(ResponseBody::new(body, self.run, limit, record)))
    }
}

/// What no route takes: not exactly one valid `host` (RFC 9112, section 3.2), and CONNECT.
fn check_head<B>(request: &Request<B>) -> Result<(), Error> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let plain = |host: &HeaderValue| {
        let authority = Authority::try_from(host.as_bytes());
        authority.is_ok_and(|authority| !authority.as_str().contains('@'))
    };
    if second.is_some() || !host.map_or(request.uri().authority().is_some(), plain) {
        return Err(Error::BadRequest("not exactly one valid host field"));
    }
    if request.method() == Method::CONNECT {
        return Err(Error::BadRequest("CONNECT is for proxies"));
    }
    Ok(())
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
