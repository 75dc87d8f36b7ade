//! The server below the runtime: both protocols, TLS, bounds, and a good end.

mod drain;
mod http2;
mod listeners;
mod patience;
mod tls;
