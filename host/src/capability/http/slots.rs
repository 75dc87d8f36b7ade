//! Bound secrets: the host writes them into the requests that their slots match, and nowhere else.
//!
//! Nothing is replaced in what a guest sends. A slot gives no grant; that was checked before.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use wasmtime_wasi_http::{Error, WasiBody};
use webtask_token::{Secret, Slot};

use super::{reason::Reason, scan::Watch};
use crate::{
    capability::log::GuestLog, egress::Target, rights::Rights, scan::Search, text::printable,
};

/// Fields by which a guest asks for a response in parts or in another form, where no scan finds a secret, or
/// makes another request of the one that the slot is for.
const EVASIVE: [HeaderName; 9] = [
    header::ACCEPT_CHARSET,
    header::IF_RANGE,
    header::RANGE,
    HeaderName::from_static("a-im"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

/// The bound secrets of one invocation.
pub(super) struct Slots {
    rights: Arc<Rights>,
    log: GuestLog,
    /// Made for the first request that needs it.
    search: OnceLock<Arc<Search>>,
}

/// A slot that matches a request.
struct Filled<'a> {
    name: &'a str,
    value: &'a Secret,
    slot: &'a Slot,
}

impl Filled<'_> {
    /// The header, for a request with the body `signed`.
    fn field(&self, signed: &[u8]) -> Result<(HeaderName, HeaderValue), Error> {
        let said = self.slot.format.render(self.value, signed);
        let header = HeaderName::from_bytes(self.slot.header.as_bytes());
        let (Ok(header), Ok(mut said)) = (header, HeaderValue::from_str(said.expose())) else {
            // A token is opened only if its slots are fields and its values fit them.
            let text = format!("the slot of {} is no header", self.name);
            return Err(Error::InternalError(Some(text)));
        };
        // HTTP/2 does not index it, and no Debug shows it.
        said.set_sensitive(true);
        Ok((header, said))
    }
}

impl Slots {
    /// None for a token without bound secrets, which most invocations have.
    pub(super) fn of(rights: &Arc<Rights>, log: &GuestLog) -> Option<Arc<Self>> {
        let mut secrets = rights.secrets.values();
        secrets.any(|secret| !secret.slots.is_empty()).then(|| {
            Arc::new(Self {
                rights: rights.clone(),
                log: log.clone(),
                search: OnceLock::new(),
            })
        })
    }

    /// What responses are searched with if a slot names the origin. Made in the guest's own time, for its first call of
    /// such an origin.
    ///
    /// All responses of such an origin are searched, also where no slot matches the request: what an origin was
    /// sent by one request it may tell in answer to the next.
    pub(super) fn search(&self, target: &Target) -> Result<Option<Arc<Search>>, Error> {
        if !self.knows(target) {
            return Ok(None);
        }
        if let Some(search) = self.search.get() {
            return Ok(Some(search.clone()));
        }
        // A response that cannot be searched is not asked for.
        let search = Search::new(&self.rights.secrets)
            .map_err(|error| Error::InternalError(Some(error.to_string())))?;
        Ok(Some(self.search.get_or_init(|| Arc::new(search)).clone()))
    }

    /// The request with the headers of all slots that match it, and what watches the response.
    pub(super) async fn fill(
        &self,
        target: &Target,
        request: Request<WasiBody>,
        search: Arc<Search>,
    ) -> Result<(Request<WasiBody>, Watch), Error> {
        let watch = Watch::new(search, self.log.clone(), target.origin());
        let (mut head, mut body) = request.into_parts();
        let filled = self.matching(target, head.method.as_str(), head.uri.path());
        for Filled { name, slot, .. } in &filled {
            if head.headers.contains_key(slot.header.as_str()) {
                return Err(Reason::SlotHeader.tell(&self.log, &taken(name, &slot.header)));
            }
        }
        for name in &EVASIVE {
            head.headers.remove(name);
        }
        let identity = HeaderValue::from_static("identity");
        head.headers.insert(header::ACCEPT_ENCODING, identity);

        let mut signed = Bytes::new();
        if filled.iter().any(|filled| filled.slot.format.signs_body()) {
            signed = self.whole(body, target).await?;
            body = Full::new(signed.clone())
                .map_err(|never| match never {})
                .boxed_unsync();
            // hyper says the length of what it has.
            head.headers.remove(header::CONTENT_LENGTH);
        }
        let mut names = Vec::new();
        for filled in &filled {
            let (header, said) = filled.field(&signed)?;
            head.headers.insert(&header, said);
            names.push((header, filled.name.to_owned()));
        }
        if !names.is_empty() {
            let (log, refused) = (self.log.clone(), watch.refused());
            body = Untrailed {
                inner: body,
                names,
                log,
                refused,
            }
            .boxed_unsync();
        }
        Ok((Request::from_parts(head, body), watch))
    }

    /// Whether a slot names the origin.
    fn knows(&self, target: &Target) -> bool {
        let mut slots = self
            .rights
            .secrets
            .values()
            .flat_map(|secret| &secret.slots);
        let (host, port) = (target.host(), target.port);
        slots.any(|slot| slot.origin.matches(target.scheme, &host, port))
    }

    fn matching(&self, target: &Target, method: &str, path: &str) -> Vec<Filled<'_>> {
        let host = target.host();
        let mut filled = Vec::new();
        for (name, secret) in &self.rights.secrets {
            for slot in &secret.slots {
                if slot.matches(method, target.scheme, &host, target.port, path) {
                    let value = &secret.value;
                    filled.push(Filled { name, value, slot });
                }
            }
        }
        filled
    }

    /// The whole body, which a slot signs: bounded, and without trailers, which nothing would sign.
    async fn whole(&self, mut body: WasiBody, target: &Target) -> Result<Bytes, Error> {
        let limit = self.rights.limits.signed_bytes;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await.transpose()? {
            let Ok(data) = frame.into_data() else {
                let text = "outbound call refused: a body that a bound secret signs has no trailers; send none";
                return Err(Reason::SignedTrailers.tell(&self.log, text));
            };
            if whole.len().saturating_add(data.len()) as u64 > limit {
                let text = format!(
                    "outbound call refused: the body for {} is signed with a bound secret and longer than {limit} bytes, the limit signed-bytes",
                    target.origin()
                );
                return Err(Reason::SignedTooLarge.tell(&self.log, &text));
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole.freeze())
    }
}

fn taken(name: &str, header: &str) -> String {
    let header = printable(header, 64);
    format!(
        "outbound call refused: the host sets the header {header} of this request from the bound secret {name}; do not set it"
    )
}

/// A request's body without trailers that a slot sets.
struct Untrailed {
    inner: WasiBody,
    /// Headers of slots, and their secrets' names.
    names: Vec<(HeaderName, String)>,
    log: GuestLog,
    refused: Arc<AtomicBool>,
}

impl Body for Untrailed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some((header, name)) = self
                .names
                .iter()
                .find(|(header, _)| trailers.contains_key(header))
        {
            self.refused.store(true, Ordering::Relaxed);
            let error = Reason::SlotHeader.tell(&self.log, &taken(name, header.as_str()));
            return Poll::Ready(Some(Err(error)));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
