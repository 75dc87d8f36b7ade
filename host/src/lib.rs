//! The webtask runtime: serves WebAssembly components that carry their own rights.
//!
//! # The way of one request
//!
//! 1. The server accepts a connection and reads a request's head under limits of size and time.
//! 2. [`Host::handle`] gives the request an id and a trace, and starts its record.
//! 3. The token is taken out of the request; no guest ever sees its own.
//! 4. The keyring opens the token: what code, which secrets, what it may do, until when. A revoked one is
//!    refused, and so is a request that a caveat rules out or that comes too often.
//! 5. The loader finds the compiled component, or fetches, checks the digest and has it compiled
//!    in another process.
//! 6. A secret that the code says it needs and the token does not hold ends the request here.
//! 7. A place among the invocations is taken. A tenant or token that has all of its own is told 429; when all
//!    are taken, requests wait for a moment, by tenant, and without one the answer is 503.
//! 8. The rights, claims less caveats within what tenant and platform allow, move into the context of one store: nothing else is in reach of the guest.
//! 9. A fresh instance runs under limits of memory, CPU time and wall-clock time; one that needs CPU time goes
//!    on in the heavy lane, behind all that is light.
//! 10. Its response goes out as it is made, and ends only as well as the run did.
//! 11. One access record is written and counted, whatever happened.
//!
//! The command `webtask` is a thin shell round this library.

// Every sum on a request's way is checked, saturates, or says why it cannot overflow. Tests may add as they like.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod admission;
mod answer;
mod api;
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an operator's command, not on a request's way"
)]
pub mod audit;
mod body;
mod capability;
mod carrier;
mod compile;
mod config;
mod cors;
mod cpu;
mod ctx;
mod deadline;
mod egress;
mod error;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod head;
mod host;
mod ids;
mod invoke;
mod lane;
mod limit;
mod limits;
mod lines;
mod loader;
mod logs;
mod mask;
mod meter;
mod metrics;
mod needs;
mod observed;
mod phases;
mod quota;
mod rate;
mod record;
mod revocations;
mod rights;
mod runtime;
pub mod scan;
mod server;
mod tenant;
mod text;
mod trace;

pub use body::{HostBody, ResponseBody};
pub use compile::{Compiler, StoreError, compile_worker};
pub use config::{Config, ConfigError, ConfigFile, LogFormat, LogFormatError};
pub use egress::{
    Answer, ConnectError, Egress, EgressError, Key, Ranges, RequestBody, SendError, Target, Timing,
    send, send_timed,
};
pub use error::{Blame, Error};
pub use host::{Host, StartError};
pub use invoke::InvokeError;
pub use limit::Limit;
pub use limits::Limits;
pub use loader::{
    CodeMirror, CodeMirrorError, CodePrefix, CodePrefixError, LoadError, Loads, RegistryAuth,
    RegistryAuthError, not_a_component,
};
pub use logs::LogBody;
pub use revocations::{Revocation, RevocationError, Revocations};
pub use server::{ListenAddress, ListenError, Listener, Server, Tls, TlsError};
pub use tenant::{ReadLogs, Tenant, TenantFile, TenantLimits, Tenants, UnknownTenants};
pub use text::{chain, printable, utc};
pub use trace::{TraceError, Traces};
