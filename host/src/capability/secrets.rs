//! `webtask:runtime/secrets`: hands out the readable secrets of the token, and no others.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use super::bindings::webtask::runtime::secrets::{self, Error};
use crate::{capability::log::GuestLog, ctx::Ctx, rights::Rights};

pub(super) fn add_to_linker(linker: &mut Linker<Ctx>) -> wasmtime::Result<()> {
    secrets::add_to_linker::<_, HasSecrets>(linker, |ctx| Secrets {
        rights: &ctx.rights,
        log: &ctx.log,
    })
}

struct HasSecrets;
impl HasData for HasSecrets {
    type Data<'a> = Secrets<'a>;
}

struct Secrets<'a> {
    rights: &'a Arc<Rights>,
    log: &'a GuestLog,
}

impl secrets::Host for Secrets<'_> {
    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.rights.secrets.keys().cloned().collect())
    }

    fn get(&mut self, name: String) -> wasmtime::Result<Result<String, Error>> {
        Ok(match self.rights.secrets.get(&name) {
            Some(secret) if secret.slots.is_empty() => Ok(secret.value.expose().to_owned()),
            Some(_) => {
                // The name is one of the token's.
                self.log.denied(&format!(
                    "secret {name:?} is bound, and no code reads it: the runtime writes it into the requests that its slot names; send such a request without that header, or mint a token with the secret and without --bind {name}=…"
                ));
                Err(Error::Bound)
            }
            None => {
                let shown = self.log.shown(name.as_bytes(), 64);
                self.log.denied(&format!(
                    "no secret {shown:?}: {}",
                    self.rights.mend_secret(&shown)
                ));
                Err(Error::NotGranted)
            }
        })
    }
}
