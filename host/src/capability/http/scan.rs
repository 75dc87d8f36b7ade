//! Watches the responses of origins that are sent bound secrets: what holds one does not reach the guest.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, Version, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

use super::reason::Reason;
use crate::{
    capability::log::GuestLog,
    scan::{Found, Scan, Search},
};

/// What looks at one response.
pub(super) struct Watch {
    search: Arc<Search>,
    log: GuestLog,
    /// Where the request went, for the log.
    origin: String,
    /// Whether the request was refused for its trailers, after its head was sent.
    refused: Arc<AtomicBool>,
}

impl Watch {
    pub(super) fn new(search: Arc<Search>, log: GuestLog, origin: String) -> Self {
        Self {
            search,
            log,
            origin,
            refused: Arc::default(),
        }
    }

    /// For whoever refuses the request while its body is sent.
    pub(super) fn refused(&self) -> Arc<AtomicBool> {
        self.refused.clone()
    }

    /// Why the call failed: a connection whose request was refused fails somehow.
    pub(super) fn cause(&self, error: Error) -> Error {
        if self.refused.load(Ordering::Relaxed) {
            return Error::HttpRequestDenied;
        }
        error
    }

    /// The response, its body searched as it is read; or the error in its place.
    pub(super) fn over(self, response: Response<WasiBody>) -> Result<Response<WasiBody>, Error> {
        if let Some(what) = unsearchable(&response) {
            let text = format!(
                "outbound call failed: {} is sent a bound secret, and answered with {what}, which cannot be searched for it",
                self.origin
            );
            return Err(Reason::Unsearchable.tell(&self.log, &text));
        }
        check(&self.search, response.headers()).map_err(|found| self.found(&found))?;
        Ok(response.map(|inner| {
            let scan = Scan::new(self.search.clone());
            Watched {
                inner,
                unread: Bytes::new(),
                scan,
                watch: self,
                rest: Rest::More,
            }
            .boxed_unsync()
        }))
    }

    fn found(&self, found: &Found) -> Error {
        let text = format!(
            "outbound response cut: {} sent the bound secret {} back, which the webtask must not read",
            self.origin, found.name
        );
        Reason::SecretReturned.tell(&self.log, &text)
    }
}

/// What of the head keeps a scan from seeing the whole body as the origin wrote it.
fn unsearchable<B: Body>(response: &Response<B>) -> Option<&'static str> {
    let headers = response.headers();
    let only = |name: HeaderName, coding: &str| {
        let fits = |value: &HeaderValue| {
            let value = value.to_str();
            value.is_ok_and(|value| value.eq_ignore_ascii_case(coding))
        };
        headers.get_all(name).iter().all(fits)
    };
    // Its end may be where it broke off, and then what was held back would be released.
    let open_ended = response.version() < Version::HTTP_2
        && response.body().size_hint().exact().is_none()
        && !headers.contains_key(header::TRANSFER_ENCODING);
    // 101 ends HTTP, 226 is a difference (RFC 3229).
    let a_part = matches!(response.status().as_u16(), 101 | 206 | 226);
    if a_part || headers.contains_key(header::CONTENT_RANGE) {
        Some("a part")
    } else if !only(header::CONTENT_ENCODING, "identity") {
        Some("another content-encoding than identity")
    } else if !only(header::TRANSFER_ENCODING, "chunked") {
        Some("another transfer-encoding than chunked")
    } else if open_ended {
        Some("neither a length nor chunks")
    } else {
        None
    }
}

fn check(search: &Search, fields: &HeaderMap<HeaderValue>) -> Result<(), Found> {
    fields.iter().try_for_each(|(name, value)| {
        search.check(name.as_str().as_bytes())?;
        search.check(value.as_bytes())
    })
}

/// Bytes that are searched before others get the thread: some milliseconds where they are made to be dear.
const PIECE: usize = 16 << 10;

/// A body that is searched as it is read.
struct Watched {
    inner: WasiBody,
    /// What of the last frame is not searched yet.
    unread: Bytes,
    scan: Scan,
    watch: Watch,
    rest: Rest,
}

/// What comes after the frame that was just given.
enum Rest {
    More,
    Trailers(HeaderMap),
    Nothing,
}

impl Watched {
    /// What to give of `frame`, if anything is to be given yet.
    fn take(&mut self, frame: Option<Frame<Bytes>>) -> Result<Option<Frame<Bytes>>, Found> {
        let bytes = match frame.map(Frame::into_data) {
            Some(Ok(mut data)) => {
                self.unread = data.split_off(data.len().min(PIECE));
                self.scan.push(data)?
            }
            Some(Err(frame)) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                check(&self.watch.search, &trailers)?;
                self.rest = Rest::Trailers(trailers);
                self.scan.end()
            }
            None => {
                self.rest = Rest::Nothing;
                self.scan.end()
            }
        };
        Ok((!bytes.is_empty()).then(|| Frame::data(bytes)))
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.rest, Rest::Nothing) {
                Rest::More => this.rest = Rest::More,
                Rest::Trailers(trailers) => {
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Rest::Nothing => return Poll::Ready(None),
            }
            let frame = if this.unread.is_empty() {
                ready!(Pin::new(&mut this.inner).poll_frame(cx)).transpose()
            } else {
                Ok(Some(Frame::data(std::mem::take(&mut this.unread))))
            };
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    // What is held back may be half a secret: a broken response ends without it.
                    this.rest = Rest::Nothing;
                    return Poll::Ready(Some(Err(this.watch.cause(error))));
                }
            };
            match this.take(frame) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if !this.unread.is_empty() => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Ok(None) => {}
                Err(found) => {
                    this.rest = Rest::Nothing;
                    return Poll::Ready(Some(Err(this.watch.found(&found))));
                }
            }
        }
    }
}
