//! Fetching: from a permitted source, or a mirror of it, to bytes whose digest is known.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    LoadError, Worker, digest_of,
    freshness::FAILED,
    known::{Basis, Known},
    source::{From, Source},
};
use crate::{deadline, text::hex};

/// What fetching found.
pub(super) enum Fetched {
    /// Code, and what it can be known by later; `None` if it must not be kept.
    Code {
        bytes: Bytes,
        digest: [u8; 32],
        basis: Option<Basis>,
    },
    /// What was known already.
    Same(Option<Basis>),
}

/// Code whose digest nobody looked at yet.
pub(super) enum Found {
    Code(Bytes, Option<Basis>),
    Same(Option<Basis>),
}

/// Why nothing was fetched, and what that means for the next who asks.
pub(super) struct Failure {
    pub(super) error: LoadError,
    /// How long it counts.
    pub(super) keep: Duration,
    /// Whether the origin did not get to say anything: what it said before may hold on.
    pub(super) passing: bool,
}

impl std::convert::From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let (keep, passing) = match &error {
            // The next who asks may find a place, or a compiler that works.
            LoadError::Busy | LoadError::TenantBusy => (Duration::ZERO, true),
            LoadError::Compiler { .. } | LoadError::CompilersBusy => (Duration::ZERO, false),
            LoadError::Timeout { what, .. } => (FAILED, *what == FETCHING),
            _ => (FAILED, false),
        };
        Self {
            error,
            keep,
            passing,
        }
    }
}

impl Failure {
    /// The origin is down, or the way to it.
    pub(super) fn passing(self) -> Self {
        Self {
            passing: true,
            ..self
        }
    }
}

const FETCHING: &str = "fetching";

pub(super) fn failed(source: &Source, reason: impl std::fmt::Display) -> Failure {
    LoadError::Fetch {
        url: source.shown(),
        reason: reason.to_string(),
    }
    .into()
}

impl Worker {
    /// The bytes at `source`, of the digest `expected` if there is one, within the limits of size and time.
    /// `known` is what it served before, and is still compiled.
    pub(super) async fn fetch(
        &self,
        source: &Source,
        expected: Option<[u8; 32]>,
        known: Option<&Known>,
    ) -> Result<Fetched, Failure> {
        // Without a place, code that is compiled already still runs.
        let _place = self.place(&source.by).await?;
        let until = deadline::after(Instant::now(), self.limits.fetch);
        let places = self.places(source);
        let mut result = Err(failed(source, "there is nowhere to fetch it from"));
        for (left, place) in (1..=places.len()).rev().zip(&places) {
            // A mirror that does not answer leaves time for the next place.
            let share = deadline::share(until.saturating_duration_since(Instant::now()), left);
            let fetched =
                tokio::time::timeout(share, self.fetch_from(place, expected, known)).await;
            result = fetched.unwrap_or_else(|_| Err(self.slow(place)));
            match &result {
                Ok(_) => break,
                Err(failure) if left > 1 => {
                    tracing::warn!(mirror = place.shown(), reason = %failure.error, "a mirror of code failed");
                }
                Err(_) => {}
            }
        }
        result
    }

    pub(super) fn slow(&self, source: &Source) -> Failure {
        LoadError::Timeout {
            what: FETCHING,
            url: source.shown(),
            limit: self.limits.fetch,
        }
        .into()
    }

    async fn fetch_from(
        &self,
        source: &Source,
        expected: Option<[u8; 32]>,
        known: Option<&Known>,
    ) -> Result<Fetched, Failure> {
        let found = match &source.from {
            From::File { dir, path } => {
                let (bytes, basis) = self.read(source, dir, path).await?;
                Found::Code(bytes, Some(basis))
            }
            From::Http(ranges) => self.get(source, *ranges, known).await?,
            From::Oci(image) => self.pull(source, image, known).await?,
        };
        let (bytes, basis) = match found {
            Found::Code(bytes, basis) => (bytes, basis),
            Found::Same(basis) => return Ok(Fetched::Same(basis)),
        };
        let (bytes, digest) = digest_of(bytes).await;
        // Also of a mirror: the next place may have the right bytes.
        match expected.filter(|expected| *expected != digest) {
            Some(expected) => Err(LoadError::Digest {
                url: source.shown(),
                expected: hex(&expected),
                found: hex(&digest),
            }
            .into()),
            None => Ok(Fetched::Code {
                bytes,
                digest,
                basis,
            }),
        }
    }
}
