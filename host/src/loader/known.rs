//! What unpinned URLs served: which code, and for how long that may be taken for what is there.

use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use tokio::time::Instant;
use url::Url;

use super::{
    file::FileId,
    freshness::{Freshness, Standing},
};

/// What a URL served.
pub(super) struct Known {
    pub(super) digest: [u8; 32],
    pub(super) basis: Basis,
    /// Of an origin that failed: when it may be asked again.
    failed: Option<Instant>,
    /// Whether somebody asks already while others are served.
    asking: AtomicBool,
}

/// Why it may be taken for what is there.
#[derive(Clone)]
pub(super) enum Basis {
    /// It is the file that was read. One that changed a moment before may change again without a trace:
    /// it is not `settled`.
    File { id: FileId, settled: bool },
    /// The origin said so. No `Debug`: a query may be a signature.
    Head(Box<Head>),
}

/// An origin's answer, without its body.
#[derive(Clone)]
pub(super) struct Head {
    /// The URL that answered, after redirects and mirrors: no other is asked whether it changed.
    pub(super) at: Url,
    pub(super) headers: HeaderMap,
    pub(super) freshness: Freshness,
}

/// What to do with what is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Use {
    Ask,
    Serve,
    ServeAndAsk,
}

impl Known {
    pub(super) fn new(digest: [u8; 32], basis: Basis) -> Self {
        Self {
            digest,
            basis,
            failed: None,
            asking: AtomicBool::new(false),
        }
    }

    /// The same, of an origin that failed just now and is asked again after `until`.
    pub(super) fn failed(&self, until: Instant) -> Self {
        Self {
            failed: Some(until),
            ..Self::new(self.digest, self.basis.clone())
        }
    }

    /// `file` is the file as it is now, if the code is one.
    pub(super) fn usable(&self, now: Instant, file: Option<FileId>) -> Use {
        let head = match &self.basis {
            Basis::File { id, settled } if *settled && file == Some(*id) => return Use::Serve,
            Basis::File { .. } => return Use::Ask,
            Basis::Head(head) => head,
        };
        match (head.freshness.standing(now), self.failed) {
            (Standing::Fresh, _) => Use::Serve,
            (Standing::Over, _) | (Standing::IfDown, None) => Use::Ask,
            (_, Some(until)) if now < until => Use::Serve,
            // While an origin is down nobody waits for it to say so once more.
            (Standing::Asking, _) | (Standing::IfDown, Some(_)) => Use::ServeAndAsk,
        }
    }

    /// Whether it serves while its origin is down.
    pub(super) fn serves_if_down(&self, now: Instant) -> bool {
        match &self.basis {
            Basis::File { .. } => false,
            Basis::Head(head) => head.freshness.standing(now) != Standing::Over,
        }
    }

    /// What `url` itself answered, if it was the one.
    pub(super) fn head_of(&self, url: &Url) -> Option<&Head> {
        match &self.basis {
            Basis::Head(head) if head.at == *url => Some(head),
            _ => None,
        }
    }

    /// True for the first who asks.
    pub(super) fn begin_asking(&self) -> bool {
        !self.asking.swap(true, Ordering::Relaxed)
    }
}
