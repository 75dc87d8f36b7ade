//! The head of a request: what its answer needs of it, and what no route takes.

use http::{HeaderValue, Method, Request, header, uri::Authority};

use crate::{Error, Limits, cors};

/// What of a request its answer needs, after the request is gone.
pub(crate) struct Seen {
    pub(crate) head: bool,
    pub(crate) in_path: bool,
    pub(crate) preflight: bool,
    pub(crate) origin: Option<HeaderValue>,
    /// How many fields its caller sent.
    fields: usize,
}

impl Seen {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            head: request.method() == Method::HEAD,
            in_path: request.uri().path().starts_with("/t/"),
            preflight: cors::is_preflight(request),
            origin: request.headers().get(header::ORIGIN).cloned(),
            fields: request.headers().len(),
        }
    }

    /// What no route takes: too many fields, not exactly one valid host (RFC 9112, section 3.2; RFC 9113, section
    /// 8.3.1), and CONNECT.
    pub(crate) fn check<B>(&self, request: &Request<B>, limits: &Limits) -> Result<(), Error> {
        if self.fields > limits.header_fields {
            let limit = limits.header_fields;
            return Err(Error::HeaderFields { limit });
        }
        let target = request.uri().authority();
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let (host, second) = (hosts.next(), hosts.next());
        let plain = |host: &HeaderValue| {
            let authority = Authority::try_from(host.as_bytes());
            // The guest is told of one of them: two that differ are two readings of one request.
            authority.is_ok_and(|authority| {
                !authority.as_str().contains('@')
                    && target.is_none_or(|target| {
                        target.as_str().eq_ignore_ascii_case(authority.as_str())
                    })
            })
        };
        let named = target.is_some_and(|target| !target.as_str().contains('@'));
        if second.is_some() || !host.map_or(named, plain) {
            return Err(Error::BadRequest("not exactly one valid host field"));
        }
        if request.method() == Method::CONNECT {
            return Err(Error::BadRequest("CONNECT is for proxies"));
        }
        Ok(())
    }
}
