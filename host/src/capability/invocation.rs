//! `webtask:runtime/invocation`: what the guest may know of its own run.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wasmtime::component::{HasData, Linker};

use super::bindings::webtask::runtime::invocation;
use crate::{ctx::Ctx, logs::About, observed::Observed, trace::TraceContext};

/// Who runs, for whom, and until when. Shared by everything that writes about one invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) tenant: String,
    pub(crate) token_id: String,
    pub(crate) request_id: String,
    /// The component, by its digest in hexadecimal.
    pub(crate) component: String,
    pub(crate) started: Instant,
    pub(crate) wall: Duration,
    pub(crate) trace: Arc<TraceContext>,
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
        Ok(self.0.tenant.clone())
    }

    fn token_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.0.token_id.clone())
    }

    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.0.request_id.clone())
    }

    fn remaining(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.0.remaining().as_nanos()).unwrap_or(u64::MAX))
    }
}
