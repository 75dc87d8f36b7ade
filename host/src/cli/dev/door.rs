//! The local URL of `webtask dev`: adds the token to requests of this machine's own programs and pages.
//!
//! Whoever can connect needs no token here, so it has to be told from a page elsewhere in the person's browser. Such a
//! page can make its own name mean 127.0.0.1 (DNS rebinding), or just send requests there and not read the answers. The
//! first has its name in `host`, the second is told by `origin` and `sec-fetch-site`.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header, uri::PathAndQuery};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use webtask_host::{Host, HostBody};

const TOKEN: HeaderName = HeaderName::from_static("webtask-token");
const REQUEST_ID: &str = "webtask-request-id";
const FETCH_SITE: &str = "sec-fetch-site";
/// Connections at the same time: a browser has some, a load test more.
const CONNECTIONS: usize = 512;
/// How long a head may take.
const HEAD: Duration = Duration::from_secs(15);
/// Letters of a path in the log.
const PATH: usize = 200;
/// Requests whose path is kept for their record.
const KEPT: usize = 1_024;

const FROM_ELSEWHERE: &str = "webtask dev answers programs and pages of this machine only: call it by a name such as \
    127.0.0.1 or localhost, and from no page of another site\n";
const NOT_YET: &str =
    "nothing to serve yet: the first build is under way or failed, see the terminal\n";
const NO_PATH: &str = "webtask dev takes requests with a path\n";

tokio::task_local! {
    /// The path of the request that this task is about to answer.
    static ASKED: String;
}

/// Paths of requests, which the host's records do not have: by request id once the answer began. Until then they are the
/// task's own.
#[derive(Debug, Default)]
pub(super) struct Paths(Mutex<HashMap<String, String>>);

impl Paths {
    fn put(&self, id: &str, path: String) {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if paths.len() >= KEPT {
            // Of requests whose record was filtered from the log.
            paths.clear();
        }
        paths.insert(id.to_owned(), path);
    }

    pub(super) fn take(&self, id: &str) -> Option<String> {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = paths.remove(id);
        begun.or_else(|| ASKED.try_with(Clone::clone).ok())
    }
}

/// Serves what was built last.
pub(super) struct Door {
    host: Arc<Host>,
    paths: Arc<Paths>,
    token: Mutex<Option<HeaderValue>>,
}

impl Door {
    pub(super) fn new(host: Arc<Host>, paths: Arc<Paths>) -> Self {
        Self {
            host,
            paths,
            token: Mutex::new(None),
        }
    }

    /// Runs requests with this token from now on.
    pub(super) fn open(&self, token: HeaderValue) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// Accepts until it is dropped, and all connections with it.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            // Closed never: it is ours.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let door = self.clone();
            connections.spawn(async move {
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .serve_connection(
                        TokioIo::new(stream),
                        service_fn(move |request| {
                            let door = door.clone();
                            async move { Ok::<_, Infallible>(door.answer(request).await) }
                        }),
                    );
                // Who leaves in the middle is in the host's record.
                drop(served.await);
                drop(place);
            });
            while connections.try_join_next().is_some() {}
        }
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Response<HostBody> {
        let path = shown(request.uri().path());
        if let Err(why) = from_here(request.uri(), request.headers()) {
            tracing::warn!(method = %request.method(), path, "refused: {why}");
            return own(403, FROM_ELSEWHERE);
        }
        let token = self
            .token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(token) = token else {
            return own(503, NOT_YET);
        };
        let Some(target) = below_run(request.uri()) else {
            return own(400, NO_PATH);
        };
        *request.uri_mut() = target;
        // In the place of whatever the caller sent.
        request.headers_mut().insert(TOKEN, token);
        let response = ASKED.scope(path.clone(), self.host.handle(request)).await;
        // Before the body is read: the record of a webtask's answer is written at its end.
        let id = response.headers().get(REQUEST_ID);
        if let Some(id) = id.and_then(|id| id.to_str().ok()) {
            self.paths.put(id, path);
        }
        response
    }
}

/// `/orders?id=7` → `/run/orders?id=7`, without a host that stands in the target.
fn below_run(uri: &Uri) -> Option<Uri> {
    let target = uri
        .path_and_query()
        .filter(|_| uri.path().starts_with('/'))?;
    Some(PathAndQuery::try_from(format!("/run{target}")).ok()?.into())
}

/// Whether a request can only come from this machine, and from no page of elsewhere.
fn from_here(uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name: &str| {
        let mut all = headers.get_all(name).iter();
        let first = all.next().map(|value| value.to_str().unwrap_or("?"));
        match all.next() {
            Some(_) => Some("?"),
            None => first,
        }
    };
    let local = |authority: &str| {
        let authority: Result<http::uri::Authority, _> = authority.parse();
        authority.is_ok_and(|authority| {
            !authority.as_str().contains('@') && is_loopback(authority.host())
        })
    };
    let named = [
        uri.authority().map(|authority| authority.as_str()),
        text("host"),
    ];
    if text("host").is_none() || !named.into_iter().flatten().all(local) {
        return Err("it was not called by a name of loopback");
    }
    match (text(header::ORIGIN.as_str()), text(FETCH_SITE)) {
        (Some(origin), _) => {
            let scheme = ["http://", "https://"]
                .iter()
                .find_map(|scheme| origin.strip_prefix(scheme));
            match scheme.is_some_and(local) {
                true => Ok(()),
                false => Err("a page of another site called"),
            }
        }
        // A link or an image of a page. Of the same site: that is a page of loopback.
        (None, Some(site)) if !matches!(site, "none" | "same-origin" | "same-site") => {
            Err("a page of another site called")
        }
        _ => Ok(()),
    }
}

/// Whether a host, as it stands in a URL, means this machine whatever name servers say.
fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let v6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match v6 {
        Some(v6) => v6
            .parse::<Ipv6Addr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback()),
        None => {
            let name = host.strip_suffix('.').unwrap_or(&host);
            // RFC 6761, section 6.3
            name == "localhost"
                || name.ends_with(".localhost")
                || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

/// A path for the log.
fn shown(path: &str) -> String {
    let letters = path.chars().take(PATH);
    letters.flat_map(char::escape_debug).collect()
}

fn own(status: u16, text: &'static str) -> Response<HostBody> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    if let Ok(status) = status.try_into() {
        *response.status_mut() = status;
    }
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn verdict(uri: &str, fields: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        from_here(&uri.parse().unwrap(), &headers).is_ok()
    }

    #[test]
    fn only_names_of_loopback_are_answered() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST.:1",
            "app.localhost:8080",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(verdict("/", &[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "2130706433",
            "0.0.0.0",
            "10.0.0.1",
            "[::]",
            "::1",
            "evillocalhost",
            "a@localhost",
            "localhost@evil.example",
            "ä",
        ] {
            assert!(!verdict("/", &[("host", host)]), "{host}");
        }
        assert!(!verdict("/", &[]));
        assert!(!verdict(
            "/",
            &[("host", "localhost"), ("host", "localhost")]
        ));
        assert!(!verdict("http://evil.example/", &[("host", "localhost")]));
        assert!(verdict(
            "http://localhost:8080/",
            &[("host", "localhost:8080")]
        ));
    }

    #[test]
    fn pages_of_other_sites_are_not_answered() {
        let with = |name, value| verdict("/", &[("host", "127.0.0.1:8080"), (name, value)]);
        for origin in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://[::1]:5173",
        ] {
            assert!(with("origin", origin), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "null",
            "",
            "file://localhost",
            "http://localhost.evil.example",
            "http://evil.example:8080",
            "http://localhost/..",
            "https://localhost@evil.example",
        ] {
            assert!(!with("origin", origin), "{origin}");
        }
        for (site, answered) in [
            ("none", true),
            ("same-origin", true),
            ("same-site", true),
            ("cross-site", false),
            ("x", false),
        ] {
            assert_eq!(with("sec-fetch-site", site), answered, "{site}");
        }
        // A page of this machine, by another of its names.
        let page = [
            ("host", "127.0.0.1"),
            ("origin", "http://localhost"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert!(verdict("/", &page));
    }

    #[test]
    fn what_is_asked_for_is_below_run() {
        let target = |uri: &str| below_run(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(target("/a/b?c=d").as_deref(), Some("/run/a/b?c=d"));
        assert_eq!(target("/").as_deref(), Some("/run/"));
        assert_eq!(target("http://localhost/t/x").as_deref(), Some("/run/t/x"));
        assert_eq!(target("*"), None);
    }
}
