//! One outbound call: granted, connected, exchanged. Owns what an invocation shares with its calls.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::{
    Io,
    body::{AbortOnDrop, OutboundBody},
};
use crate::{
    capability::{invocation::Invocation, log::GuestLog},
    egress::{ConnectError, Egress, Ranges, Target},
    rights::Rights,
    text::{chain, printable},
};

/// What one call needs of its invocation.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) egress: Arc<Egress>,
    pub(super) rights: Arc<Rights>,
    pub(super) invocation: Arc<Invocation>,
    pub(super) log: GuestLog,
}

impl Call {
    /// Where the request goes, if a grant allows it; else a line that says what would.
    pub(super) fn permit(&self, request: &Request<WasiBody>) -> Result<Target, Error> {
        let target = Target::of(request.uri()).map_err(|_| Error::HttpRequestUriInvalid)?;
        let (method, path) = (request.method().as_str(), request.uri().path());
        let (scheme, host, port) = (target.scheme, target.host(), target.port);
        // CONNECT and TRACE are no calls of an API, also where a grant says `*`.
        let a_call = !matches!(*request.method(), Method::CONNECT | Method::TRACE);
        let rights = &self.rights.token;
        if a_call && rights.allows_outbound(method, scheme, &host, port, path) {
            return Ok(target);
        }
        let url = format!("{}{}", target.origin(), printable(path, 256));
        self.log.denied(&format!("outbound call refused: no grant for {method} {url}; grant it with --allow '{method} {url}'"));
        Err(Error::HttpRequestDenied)
    }

    pub(super) async fn exchange(
        self,
        target: &Target,
        mut request: Request<WasiBody>,
        options: RequestOptions,
        place: OwnedSemaphorePermit,
    ) -> Result<(Response<WasiBody>, Io), Error> {
        // The deadline of the invocation bounds every wait, whatever the guest asks for.
        let left = self.invocation.remaining();
        let bounded =
            |asked: Option<Duration>, most: Duration| asked.unwrap_or(most).min(most).min(left);
        let stream = self
            .egress
            .connect(
                target,
                // A grant of an address is its name: only a literal reaches an opened range.
                Ranges::Opened,
                bounded(options.connect_timeout, self.rights.limits.connect),
            )
            .await
            .map_err(|error| self.refused(error))?;
        let header_bytes = usize::try_from(self.rights.limits.header_bytes).unwrap_or(usize::MAX);
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(header_bytes.max(8 << 10))
            .handshake(TokioIo::new(stream))
            .await?;
        target
            .address(&mut request)
            .map_err(|_| Error::HttpRequestUriInvalid)?;
        // Answered by nobody: the body follows at once.
        request.headers_mut().remove(header::EXPECT);
        let connection = tokio::spawn(connection);
        // Ends the connection when the invocation ends, also in the middle of an exchange.
        let guard = AbortOnDrop(connection.abort_handle());
        let response = tokio::time::timeout(
            bounded(options.first_byte_timeout, left),
            sender.send_request(request),
        )
        .await
        .map_err(|_| Error::ConnectionReadTimeout)??;
        let between = bounded(options.between_bytes_timeout, left);
        let body_bytes = self.rights.limits.outbound_bytes;
        let response = response.map(|inner| {
            OutboundBody::new(inner, body_bytes, between, place, guard).boxed_unsync()
        });
        Ok((response, Box::new(async { Ok(()) })))
    }

    /// The typed error that the guest sees; the author's log has the rest.
    fn refused(&self, error: ConnectError) -> Error {
        let hint = match &error {
            ConnectError::Address { address, .. } => {
                format!(
                    "; the platform can open it with --allow-private {address}, for grants that name the address itself"
                )
            }
            _ => String::new(),
        };
        self.log
            .denied(&format!("outbound call failed: {}{hint}", chain(&error)));
        match error {
            ConnectError::Address { .. } => Error::DestinationIpProhibited,
            ConnectError::Dns { .. } => Error::DnsError {
                rcode: None,
                info_code: None,
            },
            ConnectError::Refused { .. } => Error::ConnectionRefused,
            ConnectError::Timeout { .. } => Error::ConnectionTimeout,
            ConnectError::Tls { .. } => Error::TlsProtocolError,
            ConnectError::Uri => Error::HttpRequestUriInvalid,
        }
    }
}
