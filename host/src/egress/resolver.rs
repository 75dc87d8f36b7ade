//! Names to addresses, in bounded time. What comes out is filtered by the caller, every time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    system_conf::read_system_conf,
};
use tokio::sync::Semaphore;

/// Names at the same time: each takes a few sockets until it is answered or given up.
const RESOLVING: usize = 256;
/// How long one name server may take, for each of two attempts.
const ANSWER: Duration = Duration::from_secs(2);
/// The most addresses of a name that are looked at.
const ADDRESSES: usize = 16;

/// Asks name servers: those it was given, or those of the machine's configuration.
pub(super) struct Resolver {
    inner: TokioResolver,
    places: Semaphore,
}

impl Resolver {
    /// With no `servers`: those of `/etc/resolv.conf`, after `/etc/hosts`, both read now and not again.
    /// Without that configuration only `/etc/hosts` and `localhost` resolve, and a warning says so.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        let (config, mut options) = if servers.is_empty() {
            read_system_conf().unwrap_or_else(|error| {
                tracing::warn!(%error, "no name servers: /etc/resolv.conf cannot be used; only /etc/hosts resolves names; name servers with --dns");
                (ResolverConfig::default(), ResolverOpts::default())
            })
        } else {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            (config, ResolverOpts::default())
        };
        options.timeout = options.timeout.min(ANSWER);
        options.attempts = 1;
        // The platform's own resolver caches. Here one tenant could tell what another had asked for.
        options.cache_size = 0;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.use_hosts_file = match servers {
            [] => ResolveHosts::Always,
            _ => ResolveHosts::Never,
        };
        let inner = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()?;
        Ok(Self {
            inner,
            places: Semaphore::new(RESOLVING),
        })
    }

    /// The addresses of `name`, as they come. Of kind `TimedOut` if no server answered in time, of kind
    /// `NotFound` if there are none.
    pub(super) async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let _place = self.places.acquire().await.map_err(io::Error::other)?;
        // Absolute: no search domain of the machine gives a name another meaning.
        let absolute = format!("{name}.");
        match self.inner.lookup_ip(absolute).await {
            Ok(found) => Ok(found.iter().take(ADDRESSES).collect()),
            Err(error) => Err(io::Error::new(kind(&error), error)),
        }
    }
}

fn kind(error: &NetError) -> io::ErrorKind {
    match error {
        NetError::Timeout => io::ErrorKind::TimedOut,
        error if error.is_no_records_found() => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    }
}

fn server(at: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(at.ip());
    for connection in &mut server.connections {
        connection.port = at.port();
    }
    server
}
