//! Egress: the one place that opens outbound connections, for guests and for fetching code.
//!
//! Owns the resolution of names, the address filter, the dial, the TLS handshake and the connections that
//! are kept. Whether a request is *granted* is decided by the caller before it comes here, for each one
//! anew; must not know guests. The filter is fixed for the life of the process.

mod address;
mod client;
mod connection;
mod pool;
mod resolver;
mod target;
mod timed;
mod tls;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub(crate) use address::is_public;
pub use client::{SendError, send};
pub use connection::RequestBody;
use hickory_resolver::net::NetError;
use ipnet::IpNet;
pub use pool::{Answer, Key};
pub use target::Target;
pub use timed::{Timing, send_timed};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::Instant,
};

use self::{
    pool::Pool,
    resolver::Resolver,
    tls::{Offer, Protocol, Tls},
};
use crate::{Limits, deadline};

/// Why outbound connections cannot be made at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EgressError {
    /// A file of roots cannot be used.
    #[error("certificate authority {}: {reason}", file.display())]
    Ca {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The resolver cannot be made.
    #[error("the resolver of names cannot start")]
    Resolver(#[source] NetError),
}

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
pub struct Egress {
    reach: Reach,
    resolver: Resolver,
    tls: Tls,
    pool: Pool,
    /// Keeps nothing: for code, which is fetched once.
    single: Pool,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

/// Whether a connection may lead into a range that the platform opened.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ranges {
    /// What it is for was granted by this very address.
    Opened,
    /// The public internet only.
    Public,
}

/// Which addresses may be dialled.
enum Reach {
    /// Any: only for a person's own request from the command line, and the operator's collector of spans.
    Anywhere,
    /// The public internet, and these ranges by literal address.
    Public(Vec<IpNet>),
}

impl Egress {
    /// `opened` are the ranges beyond the public internet that may be dialled by literal address. Names
    /// are asked of the servers `dns`, or, if there are none, as the machine is configured. `ca` are PEM
    /// files with roots beside the machine's own.
    ///
    /// # Errors
    /// If a file of `ca` cannot be used.
    pub fn new(
        opened: Vec<IpNet>,
        dns: &[SocketAddr],
        ca: &[PathBuf],
        limits: &Limits,
    ) -> Result<Self, EgressError> {
        let header_bytes = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
        Ok(Self {
            reach: Reach::Public(opened),
            resolver: Resolver::new(dns).map_err(EgressError::Resolver)?,
            tls: Tls::new(ca)?,
            pool: Pool::new(limits.pool, header_bytes),
            single: Pool::new(0, header_bytes),
        })
    }

    /// As [`Egress::new`], without the address filter: for a person's own request, never for a guest.
    fn unfiltered() -> Result<Self, EgressError> {
        Self::to_operator(&[], &[], &Limits::default())
    }

    /// As [`Egress::new`], without the address filter: for what the operator names, never for a guest.
    pub(crate) fn to_operator(
        dns: &[SocketAddr],
        ca: &[PathBuf],
        limits: &Limits,
    ) -> Result<Self, EgressError> {
        Ok(Self {
            reach: Reach::Anywhere,
            ..Self::new(Vec::new(), dns, ca, limits)?
        })
    }

    /// Connects to `target` within `limit`, which covers name, connection and handshake.
    async fn connect(
        &self,
        target: &Target,
        ranges: Ranges,
        offer: Offer,
        limit: Duration,
    ) -> Result<(Stream, Protocol), ConnectError> {
        let until = deadline::after(Instant::now(), limit);
        let work = async {
            let addresses = self.resolve(target, ranges).await?;
            let stream = dial(target, &addresses, until).await?;
            if target.scheme == "http" {
                return Ok((Box::new(stream) as Stream, Protocol::Http1));
            }
            let shaken = self.tls.connect(&target.host, stream, offer).await;
            let (stream, protocol) = shaken.map_err(|source| ConnectError::Tls {
                name: target.host(),
                source,
            })?;
            Ok((Box::new(stream) as Stream, protocol))
        };
        let connected = tokio::time::timeout_at(until, work).await;
        connected.map_err(|_| ConnectError::Timeout {
            name: target.authority(),
            limit,
        })?
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
        let found = self.resolver.look_up(&name).await;
        let found = found.map_err(|source| ConnectError::Dns {
            name: name.clone(),
            source,
        })?;
        let mut refused = None;
        let mut good = Vec::new();
        for ip in found {
            if self.reaches(ip) {
                good.push(SocketAddr::new(ip, target.port));
            } else {
                refused = Some(ip);
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

/// Tries one address after the other; each has an even share of the time that is left.
async fn dial(
    target: &Target,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<TcpStream, ConnectError> {
    let mut last = std::io::Error::other("no addresses");
    for (left, address) in (1..=addresses.len()).rev().zip(addresses) {
        let share = deadline::share(until.saturating_duration_since(Instant::now()), left);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A failed option costs latency, not correctness.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
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
    use webtask_tests::{Authority, Dns, Origin};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    fn egress(opened: &[&str], dns: &[SocketAddr], ca: &[PathBuf]) -> Egress {
        let opened = opened.iter().map(|range| range.parse().unwrap()).collect();
        Egress::new(opened, dns, ca, &Limits::default()).unwrap()
    }

    async fn connect(egress: &Egress, uri: &str) -> Result<Protocol, ConnectError> {
        let target = Target::of(&uri.parse().unwrap()).unwrap();
        let connected = egress.connect(&target, Ranges::Opened, Offer::Any, LIMIT);
        connected.await.map(|(_, protocol)| protocol)
    }

    #[tokio::test]
    async fn trap_7_the_filter_is_on_without_configuration() {
        let egress = egress(&[], &[], &[]);
        for bad in [
            "http://127.0.0.1:9/",
            "http://localhost:9/",
            "http://[::ffff:127.0.0.1]:9/",
            "http://169.254.169.254/",
        ] {
            let refused = connect(&egress, bad).await;
            assert!(
                matches!(refused, Err(ConnectError::Address { .. })),
                "{bad}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_never_reaches_an_opened_range() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let egress = egress(&["127.0.0.0/8", "::1/128"], &[], &[]);
        let literal = connect(&egress, &format!("http://127.0.0.1:{port}/")).await;
        assert!(literal.is_ok());
        let named = connect(&egress, &format!("http://localhost:{port}/")).await;
        assert!(matches!(named, Err(ConnectError::Address { .. })));
    }

    /// Trap 3, without the filter so that a name may lead to loopback: the address of the one answer is
    /// dialled, and the certificate has to be for the name.
    #[tokio::test]
    async fn trap_3_a_name_is_looked_up_once_and_its_address_dialled() {
        let authority = Authority::new();
        let origin = Origin::tls(authority.acceptor("good.test", &["h2"]), |_| {
            http::Response::default()
        });
        let origin = origin.await;
        // 127.0.0.2 is where nobody listens: a second look at the name would end there.
        let dns =
            Dns::start(|_, before| Some(vec![format!("127.0.0.{}", before + 1).parse().unwrap()]));
        let dns = dns.await;
        let egress = Egress {
            reach: Reach::Anywhere,
            ..egress(&[], &[dns.address], &[authority.file()])
        };
        let port = origin.address.port();
        let found = connect(&egress, &format!("https://good.test:{port}/")).await;
        assert_eq!(found.unwrap(), Protocol::Http2);
        assert_eq!(dns.asked(), ["good.test"]);
        let other = connect(&egress, &format!("https://other.test:{port}/")).await;
        assert!(matches!(other, Err(ConnectError::Tls { .. })), "{other:?}");
        // Asked again although the answer said that it holds for an hour.
        let again = connect(&egress, &format!("https://good.test:{port}/")).await;
        assert!(
            matches!(again, Err(ConnectError::Refused { .. })),
            "{again:?}"
        );
        assert_eq!(dns.asked(), ["good.test", "other.test", "good.test"]);
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        // Nobody is at an address for documentation; no network, or no answer.
        let addresses = [SocketAddr::new("192.0.2.1".parse().unwrap(), 9), good];
        let target = Target::of(&format!("http://{good}/").parse().unwrap()).unwrap();
        let until = Instant::now() + Duration::from_secs(1);
        assert!(dial(&target, &addresses, until).await.is_ok());
    }
}
