//! The webtask runtime: serves WebAssembly components that carry their own rights.
//!
//! # The way of one request
//!
//! 1. The server accepts a connection and reads a request's head under limits of size and time.
//! 2. [`Host::handle`] gives the request an id and starts its record.
//! 3. The token is taken out of the request; no guest ever sees its own.
//! 4. The keyring opens the token: what code, which secrets, what it may do, until when. A revoked one is
//!    refused, and so is a request that a caveat rules out or that comes too often.
//! 5. The loader finds the compiled component, or fetches, checks the digest and compiles.
//! 6. A secret that the code says it needs and the token does not hold ends the request here.
//! 7. A place among the invocations is taken; without one the answer is 503 at once.
//! 8. The rights, claims less caveats, move into the context of one store: nothing else is in reach of the guest.
//! 9. A fresh instance runs under limits of memory, CPU time and wall-clock time.
//! 10. Its response goes out as it is made, and ends only as well as the run did.
//! 11. One access record is written, whatever happened.
//!
//! The command `webtask` is a thin shell round this library.

mod api;
pub mod audit;
mod body;
mod capability;
mod carrier;
mod config;
mod cors;
mod cpu;
mod ctx;
mod egress;
mod error;
mod gate;
mod host;
mod invoke;
mod limits;
mod loader;
mod mask;
mod meter;
mod needs;
mod rate;
mod record;
mod revocations;
mod rights;
mod runtime;
pub mod scan;
mod server;
mod stall;
mod text;

pub use body::{HostBody, ResponseBody};
pub use config::{Config, ConfigFile};
pub use egress::{
    Answer, ConnectError, Egress, EgressError, Key, Ranges, RequestBody, SendError, Target, send,
};
pub use error::{Blame, Error};
pub use host::{Host, StartError};
pub use invoke::InvokeError;
pub use limits::Limits;
pub use loader::{
    CodeMirror, CodeMirrorError, CodePrefix, CodePrefixError, LoadError, RegistryAuth,
    RegistryAuthError, not_a_component,
};
pub use revocations::{Revocation, RevocationError, Revocations};
pub use server::serve;
pub use text::{chain, utc};
