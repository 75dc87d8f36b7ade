//! `webtask:runtime/invocation`: what the guest may know of its own run.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wasmtime::component::{HasData, Linker};

use super::bindings::webtask::runtime::invocation;
use crate::{ctx::Ctx, logs::About, observed::Observed, trace::TraceContext};

/// Who runs, for whom, and until when. Shared by everything that writes about one invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// The component, by its digest in hexadecimal.
    pub(crate) component: Arc<str>,
    pub(crate) started: Instant,
    pub(crate) wall: Duration,
    pub(crate) trace: Arc<TraceContext>,
    /// The request, its token and its tenant.
    pub(crate) about: Arc<About>,
    pub(crate) observed: Arc<Observed>,
}

impl Invocation {
    /// Time until the deadline; zero once it is over.
    pub(crate) fn remaining(&self) -> Duration {
        self.wall.saturating_sub(self.started.elapsed())
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    invocation::add_to_linker::<_, HasInvocation>(linker, |ctx| View(&ctx.invocation))
}

struct HasInvocation;
impl HasData for HasInvocation {
    type Data<'a> = View<'a>;
}

struct View<'a>(&'a Arc<Invocation>);

impl invocation::Host for View<'_> {
    fn tenant(&mut self) -> wasmtime::Result<String> {
        Ok(self.0.about.tenant.to_string())
    }

    fn token_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.0.about.token_id.to_string())
    }

    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.0.about.request_id.to_string())
    }

    fn remaining(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.0.remaining().as_nanos()).unwrap_or(u64::MAX))
    }
}
