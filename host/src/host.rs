//! `Host`: everything a request needs, and the straight line that it takes.

mod upkeep;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    Config, Error, Limits,
    admission::{Asking, AtBound, Places},
    answer::{Answer, Reply, own},
    api,
    body::{HostBody, RequestBody},
    capability::invocation::Invocation,
    carrier,
    compile::{Compilers, StoreError},
    cors,
    ctx::Ctx,
    egress::{Egress, EgressError},
    gate::Gate,
    head::Seen,
    ids::Ids,
    lane::Lane,
    loader::{Asker, Loader, Origins, Wanted},
    logs::Logs,
    metrics::Metrics,
    observed::Observed,
    phases::Phase,
    quota::Quota,
    record::Record,
    rights::Rights,
    runtime::Runtime,
    tenant::Ceilings,
    trace::{Exporter, TraceError},
};

/// Whether the host or a guest wrote an answer.
const SOURCE: HeaderName = HeaderName::from_static("webtask-source");
/// The id of the request, as in every record of it.
const REQUEST_ID: HeaderName = HeaderName::from_static("webtask-request-id");

/// Requests without a valid token in a second that are logged one by one. Enough to see what is wrong with
/// one caller, and no more than some megabytes an hour whatever strangers send.
const STRANGERS: u32 = 20;

/// The webtask runtime: opens tokens, loads the code they name and runs it with only their rights.
pub struct Host {
    gate: Arc<Gate>,
    /// The platform's own, lowered by its policy.
    limits: Limits,
    egress: Arc<Egress>,
    loader: Loader,
    places: Arc<Places>,
    /// Answers of guests that somebody still reads. As many as connections: HTTP/2 makes no more of them.
    answers: Arc<Places>,
    log_readers: Arc<Places>,
    lane: Arc<Lane>,
    strangers: Arc<Quota>,
    ids: Ids,
    observed: Arc<Observed>,
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
    /// Native code cannot be kept on disk.
    #[error("no cache of compiled code")]
    Cache(#[from] StoreError),
    /// Outbound connections cannot be made as configured.
    #[error("no outbound connections")]
    Egress(#[from] EgressError),
    /// The WebAssembly engine cannot start here.
    #[error("the WebAssembly engine cannot start")]
    Engine(#[source] wasmtime::Error),
    /// The operating system gives no random bytes.
    #[error("no random bytes from the operating system")]
    Random(#[source] getrandom::Error),
    /// Spans cannot be exported as configured.
    #[error("no export of spans")]
    Traces(#[from] TraceError),
}

impl Host {
    /// A host with `config`. Takes address space for the pool of instances, and starts one thread.
    pub fn new(config: Config) -> Result<Self, StartError> {
        let Config {
            keyring,
            revocations,
            limits,
            cache,
            code,
            compiler,
            mirrors,
            registries,
            private,
            dns,
            ca,
            policy,
            tenants,
            traces,
        } = config;
        let policy = policy.map(Arc::new);
        let limits = match &policy {
            Some(policy) => limits.lowered(policy.limits()),
            None => limits,
        };
        let metrics = Metrics::new(tenants.named.keys().map(String::as_str));
        let tenants = Ceilings::new(tenants, &limits, policy.as_ref());
        let runtime = Runtime::new(&limits).map_err(StartError::Engine)?;
        let exporter = match &traces {
            Some(traces) => {
                let way = Egress::to_operator(&dns, &ca, &limits)?;
                Some(Exporter::new(traces, Arc::new(way))?)
            }
            None => None,
        };
        let ids = Ids::new().map_err(StartError::Random)?;
        let logs = Logs::new(ids.process(), &limits);
        let observed = Arc::new(Observed::new(metrics, logs, exporter));
        let answers = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        let compilers = Compilers::new(compiler, cache.as_deref(), &limits)?;
        let egress = Arc::new(Egress::new(private, &dns, &ca, &limits)?);
        Ok(Self {
            loader: Loader::new(
                runtime,
                compilers,
                egress.clone(),
                Origins {
                    allowed: code,
                    mirrors,
                    registries,
                },
                limits.clone(),
                policy,
                observed.clone(),
            ),
            places: Places::new(
                limits.invocations,
                limits.queue,
                limits.queue_time,
                AtBound::Refuse,
            ),
            answers: Places::new(answers, 0, Duration::ZERO, AtBound::Refuse),
            log_readers: Places::new(limits.log_readers, 0, Duration::ZERO, AtBound::Refuse),
            lane: Arc::new(Lane::new()),
            strangers: Arc::new(Quota::new(STRANGERS)),
            ids,
            gate: Arc::new(Gate::new(keyring, revocations, tenants)),
            limits,
            egress,
            observed,
        })
    }

    /// Answers `request`. Never fails: whatever goes wrong becomes an answer and a record.
    ///
    /// A guest sees the scheme of the request's extension [`http::uri::Scheme`], which the server sets by
    /// the connection; `http` without one. What the request itself says of it is not believed.
    pub async fn handle(&self, mut request: Request<Incoming>) -> Response<HostBody> {
        // The record puts a field of its own into the request.
        let seen = Seen::of(&request);
        let strangers = self.strangers.clone();
        let mut record = Record::new(self.ids.next(), &mut request, &self.observed, strangers);
        let request_id = record.request_id.clone();
        let answered = if seen.preflight {
            Ok(Reply::Host(cors::preflight(&request)))
        } else {
            self.answer(request, &seen, &mut record).await
        };
        let mut restricted = false;
        let (mut response, source) = match answered {
            Ok(Reply::Guest(answer)) => {
                restricted = answer.rights.token.origins().is_some();
                (answer.into_response(record, seen.head), "guest")
            }
            Ok(Reply::Logs(live)) => {
                restricted = live.restricted;
                (live.into_response(record), "host")
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
        seen: &Seen,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        seen.check(&request, &self.limits)?;
        match request.uri().path() {
            "/v1/logs" => api::logs(self.reading_logs(), request, record)
                .await
                .map(Reply::Logs),
            "/v1/revoke" => api::revoke(&self.gate, request, record)
                .await
                .map(Reply::Host),
            "/v1/tokens" => api::mint(&self.gate, request, record)
                .await
                .map(Reply::Host),
            _ => self.run(request, record).await.map(Reply::Guest),
        }
    }

    fn reading_logs(&self) -> api::Reading<'_> {
        api::Reading {
            gate: &self.gate,
            logs: &self.observed.logs,
            readers: &self.log_readers,
            limits: &self.limits,
        }
    }

    /// The same for an answer that is read: half for a tenant, a quarter for a token. One connection of HTTP/2
    /// has many, and nobody's run has to go on for them.
    fn reading(&self, asking: &Asking) -> Asking {
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        Asking {
            tenant_most: (all / 2).max(1),
            root_most: (all / 4).max(1),
            ..asking.clone()
        }
    }

    /// Whose place an invocation is, and how many there are for him.
    fn asking(&self, rights: &Rights) -> Asking {
        Asking {
            tenant: rights.tenant.clone(),
            tenant_most: rights.ceiling.invocations,
            root: rights.root(),
            root_most: self.limits.token_invocations,
        }
    }

    /// The way of one request: each step is one call into one module, in this order.
    async fn run(
        &self,
        mut request: Request<Incoming>,
        record: &mut Record,
    ) -> Result<Answer, Error> {
        record.spent.phases.begin(Phase::Open);
        let (token, carrier) = carrier::take(&mut request)?;
        let opened = self.gate.open(&token)?;
        record.of(&opened);
        self.gate.unrevoked(&opened)?;
        let (tenant, ceiling) = self.gate.ceiling(&opened)?;
        let rights = Arc::new(Rights::of(opened, tenant, ceiling)?);
        let about = record.entitled(&rights);
        self.gate.admit(&rights, carrier, &request)?;
        record.admitted = true;
        let limit = rights.limits.request_bytes;
        if request.body().size_hint().lower() > limit {
            return Err(Error::BodyTooLarge { limit });
        }

        // Loading has places of its own: slow origins keep no invocation from running.
        record.spent.phases.begin(Phase::Load);
        let webtask = self.loader.load(&wanted(&rights)).await?;
        record.component = Some(webtask.component.clone());
        rights.meet(&webtask.needs)?;
        let asking = self.asking(&rights);
        let place = self.places.take(&asking).await?;
        let reading = self.answers.take(&self.reading(&asking)).await;
        let reading = reading.map_err(|_| Error::Unread)?;
        record.spent.phases.begin(Phase::Instantiate);

        let invocation = Invocation {
            component: webtask.component.clone(),
            started: Instant::now(),
            wall: rights.limits.wall,
            trace: record.trace.clone(),
            about,
            observed: self.observed.clone(),
        };
        let (egress, spent) = (self.egress.clone(), record.spent.clone());
        let ctx = Ctx::new(rights.clone(), Arc::new(invocation), egress, spent);
        let received = record.received.clone();
        let request = request.map(|body| RequestBody::new(body, limit, received));
        let invoked = webtask
            .invoke(ctx, &rights.limits, request, place, &self.lane)
            .await;
        // Also where the guest took the cut body for a whole one: its answer is to another request.
        if record.received.too_large.load(Ordering::Relaxed) {
            return Err(Error::BodyTooLarge { limit });
        }
        match invoked {
            Ok((response, run)) => Ok(Answer {
                response,
                run,
                rights,
                reading,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// The code of a token, and who wants it.
fn wanted(rights: &Rights) -> Wanted<'_> {
    Wanted {
        url: &rights.url,
        sha256: rights.sha256,
        by: Asker {
            tenant: rights.tenant.clone(),
            root: rights.root(),
            ceiling: rights.ceiling.clone(),
        },
    }
}
