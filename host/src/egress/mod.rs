//! Egress: the one place that opens outbound connections, for guests and for fetching code.
//!
//! Owns the resolution of names, the address filter, the dial and the TLS handshake. Whether a
//! request is *granted* is decided by the caller before it comes here; must not know guests.

mod address;
mod client;
mod target;

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

pub use client::{SendError, send};
use ipnet::IpNet;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
pub(crate) use target::Target;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::Instant,
};

/// Why no connection could be opened. The texts are for the author's log, never for a caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Every address of the name is outside the public internet.
    #[error("{name} is {address}, which is not a public address")]
    Address {
        /// The canonical host of the request.
        name: String,
        /// The last address refused.
        address: IpAddr,
    },
    /// The name does not resolve.
    #[error("cannot resolve {name}")]
    Dns {
        /// The canonical host of the request.
        name: String,
        /// What the resolver said.
        #[source]
        source: std::io::Error,
    },
    /// No address accepted a connection.
    #[error("cannot connect to {name}")]
    Refused {
        /// The canonical authority of the request.
        name: String,
        /// What the last attempt said.
        #[source]
        source: std::io::Error,
    },
    /// The time for resolving, connecting and the handshake is used up.
    #[error("no connection to {name} within {limit:?}")]
    Timeout {
        /// The canonical authority of the request.
        name: String,
        /// The time that was allowed.
        limit: Duration,
    },
    /// The TLS handshake failed.
    #[error("TLS with {name} failed")]
    Tls {
        /// The canonical host of the request.
        name: String,
        /// What rustls said.
        #[source]
        source: std::io::Error,
    },
    /// Not an absolute http or https URL without user information.
    #[error("not an absolute http or https URL without user information")]
    Uri,
}

/// A connected, and for https encrypted, byte stream.
pub(crate) type Stream = Box<dyn Io>;

/// What hyper needs of a stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens outbound connections: resolve once, filter, dial the very address that was checked.
pub(crate) struct Egress {
    tls: Arc<ClientConfig>,
    reach: Reach,
    /// Names that are being resolved: each takes a thread until the system's resolver gives up.
    resolving: Arc<Semaphore>,
}

/// Whether a connection may lead into a range that the platform opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ranges {
    /// What it is for was granted by this very address.
    Opened,
    /// The public internet only.
    Public,
}

/// Names at the same time.
const RESOLVING: usize = 64;

/// Which addresses may be dialled.
enum Reach {
    /// Any: only for a person's own request from the command line.
    Anywhere,
    /// The public internet, and these ranges by literal address.
    Public(Vec<IpNet>),
}

impl Egress {
    /// `opened` are the ranges beyond the public internet that may be dialled by literal address.
    pub(crate) fn new(opened: Vec<IpNet>) -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!(
                "no root certificates on this machine: every outbound https call will fail; install ca-certificates"
            );
        }
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring supports the default TLS versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
        Self {
            tls: Arc::new(tls),
            reach: Reach::Public(opened),
            resolving: Arc::new(Semaphore::new(RESOLVING)),
        }
    }

    /// Connects to `target` within `limit`, which covers name, connection and handshake.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        ranges: Ranges,
        limit: Duration,
    ) -> Result<Stream, ConnectError> {
        let timeout = || ConnectError::Timeout {
            name: target.authority(),
            limit,
        };
        let until = Instant::now() + limit;
        let addresses = tokio::time::timeout_at(until, self.resolve(target, ranges))
            .await
            .map_err(|_| timeout())??;
        let stream = tokio::time::timeout_at(until, dial(target, &addresses))
            .await
            .map_err(|_| timeout())??;
        if target.scheme == "http" {
            return Ok(Box::new(stream));
        }
        let tls = |source| ConnectError::Tls {
            name: target.host(),
            source,
        };
        let name = match &target.host {
            url::Host::Domain(name) => {
                ServerName::try_from(name.clone()).map_err(|e| tls(std::io::Error::other(e)))?
            }
            url::Host::Ipv4(ip) => ServerName::from(IpAddr::from(*ip)),
            url::Host::Ipv6(ip) => ServerName::from(IpAddr::from(*ip)),
        };
        let handshake = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, stream);
        let stream = tokio::time::timeout_at(until, handshake)
            .await
            .map_err(|_| timeout())?
            .map_err(tls)?;
        Ok(Box::new(stream))
    }

    /// As [`Egress::new`], without the address filter: for a person's own request, never for a guest.
    fn unfiltered() -> Self {
        Self {
            reach: Reach::Anywhere,
            ..Self::new(Vec::new())
        }
    }

    fn reaches(&self, ip: IpAddr) -> bool {
        matches!(self.reach, Reach::Anywhere) || address::is_public(ip)
    }

    fn opened(&self, ip: IpAddr) -> bool {
        matches!(&self.reach, Reach::Public(opened) if address::is_opened(ip, opened))
    }

    /// The addresses of `target` that may be dialled; an error if there is none.
    async fn resolve(
        &self,
        target: &Target,
        ranges: Ranges,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Some(ip) = target.literal() {
            // Only a literal reaches an opened range: a name's owner must not choose what it means.
            if self.reaches(ip) || (ranges == Ranges::Opened && self.opened(ip)) {
                return Ok(vec![SocketAddr::new(ip, target.port)]);
            }
            return Err(ConnectError::Address {
                name: target.host(),
                address: ip,
            });
        }
        let name = target.host();
        let found = self.look_up(name.clone(), target.port).await;
        let found = found.map_err(|source| ConnectError::Dns {
            name: name.clone(),
            source,
        })?;
        let mut refused = None;
        let mut good = Vec::new();
        for found in found {
            if self.reaches(found.ip()) {
                good.push(found);
            } else {
                refused = Some(found.ip());
            }
        }
        match (good.is_empty(), refused) {
            (false, _) => Ok(good),
            (true, Some(address)) => Err(ConnectError::Address { name, address }),
            (true, None) => Err(ConnectError::Dns {
                name,
                source: std::io::Error::other("no addresses"),
            }),
        }
    }
}

impl Egress {
    /// Asks the system's resolver. The thread holds its place also when nobody waits for it any more.
    async fn look_up(&self, name: String, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let place = self.resolving.clone().acquire_owned().await;
        let work = move || {
            let _place = place;
            Ok((name.as_str(), port).to_socket_addrs()?.collect())
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(std::io::Error::other)?
    }
}

async fn dial(target: &Target, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let mut last = std::io::Error::other("no addresses");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A failed option costs latency, not correctness.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(ConnectError::Refused {
        name: target.authority(),
        source: last,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "constants of the test")]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<Target, ConnectError> {
        Target::of(&uri.parse().unwrap())
    }

    #[tokio::test]
    async fn trap_7_the_filter_is_on_without_configuration() {
        let egress = Egress::new(Vec::new());
        for bad in [
            "http://127.0.0.1:9/",
            "http://localhost:9/",
            "http://[::ffff:127.0.0.1]:9/",
            "http://169.254.169.254/",
        ] {
            let refused = egress
                .connect(
                    &target(bad).unwrap(),
                    Ranges::Opened,
                    Duration::from_secs(5),
                )
                .await;
            assert!(
                matches!(refused.err(), Some(ConnectError::Address { .. })),
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_never_reaches_an_opened_range() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let egress = Egress::new(vec![
            "127.0.0.0/8".parse().unwrap(),
            "::1/128".parse().unwrap(),
        ]);
        let limit = Duration::from_secs(5);
        assert!(
            egress
                .connect(
                    &target(&format!("http://127.0.0.1:{port}/")).unwrap(),
                    Ranges::Opened,
                    limit
                )
                .await
                .is_ok()
        );
        let named = egress
            .connect(
                &target(&format!("http://localhost:{port}/")).unwrap(),
                Ranges::Opened,
                limit,
            )
            .await;
        assert!(matches!(named.err(), Some(ConnectError::Address { .. })));
    }
}
