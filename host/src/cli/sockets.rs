//! Where a runtime listens: flags, the configuration, and what a service manager passes on.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};
use webtask_host::{ConfigFile, Host, ListenAddress, ListenError, Listener, Server, Tls, chain};
use webtask_token::units::parse_duration;

use super::Failure;

/// Where to listen if nothing is said and nothing is passed on.
const LISTEN: &str = "127.0.0.1:8080";

/// Sockets, and how they end.
#[derive(Args, Debug)]
pub(super) struct SocketFlags {
    /// Where to listen: an address and a port, or unix: and a path; may be repeated. Sockets that systemd
    /// passes on are served beside these [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The PEM file of a certificate chain, for TLS on all TCP sockets
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The PEM file of the certificate's private key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Where to answer /healthz and /readyz, apart from what is public [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    ops: Option<String>,
    /// How long what runs may go on after SIGTERM [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    drain: Option<Duration>,
    /// How long connections are still accepted after SIGTERM, while /readyz says no [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    linger: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Sockets that are not open yet, but for those that were passed on.
pub(super) struct Wanted {
    listen: Vec<String>,
    inherited: ListenFd,
    ops: Option<String>,
    tls: Option<Arc<Tls>>,
    drain: Option<Duration>,
    linger: Option<Duration>,
}

impl SocketFlags {
    /// These flags over what `file` says. To be called while the process has one thread: it takes the
    /// variables of the service manager out of the environment.
    pub(super) fn over(self, file: &mut ConfigFile) -> Result<Wanted, Failure> {
        let mut listen = self.listen;
        if listen.is_empty() {
            listen = std::mem::take(&mut file.listen);
        }
        let inherited = ListenFd::from_env();
        if listen.is_empty() && inherited.len() == 0 {
            listen.push(LISTEN.to_owned());
        }
        let certificate = self.tls_cert.or(file.tls_cert.take());
        let tls = tls(certificate, self.tls_key.or(file.tls_key.take()))?;
        Ok(Wanted {
            listen,
            inherited,
            ops: self.ops.or(file.ops.take()),
            tls,
            drain: self.drain.or(file.drain),
            linger: self.linger.or(file.linger),
        })
    }
}

/// Reads both, or neither.
pub(super) fn tls(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Arc<Tls>>, Failure> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Arc::new(load(certificate, key)?))),
        (None, None) => Ok(None),
        _ => Err(Failure::usage("TLS takes a certificate and its key")
            .hint("pass both --tls-cert and --tls-key, or neither")),
    }
}

fn load(certificate: PathBuf, key: PathBuf) -> Result<Tls, Failure> {
    Tls::load(certificate, key).map_err(|error| {
        Failure::usage(chain(&error))
            .hint("--tls-cert and --tls-key take PEM files, the certificate with those above it")
    })
}

impl Wanted {
    /// Opens them.
    pub(super) async fn bind(mut self) -> Result<Sockets, Failure> {
        let mut listeners = Vec::new();
        for index in 0..self.inherited.len() {
            listeners.push(inherited(&mut self.inherited, index)?);
        }
        for address in &self.listen {
            listeners.push(bind(address, "--listen").await?);
        }
        let ops = match &self.ops {
            Some(address) => Some(bind(address, "--ops").await?),
            None => None,
        };
        Ok(Sockets {
            listeners,
            ops,
            tls: self.tls,
            drain: self.drain,
            linger: self.linger,
        })
    }
}

/// Listens on `address`, which `flag` named.
pub(super) async fn bind(address: &str, flag: &str) -> Result<Listener, Failure> {
    Listener::bind(address).await.map_err(|error| {
        use std::io::ErrorKind;
        let failure = Failure::usage(chain(&error));
        let reason = match &error {
            ListenError::Io { reason, .. } => reason.kind(),
            ListenError::NoSocket(_) => return failure.hint("it is not replaced; choose another path"),
            _ => return failure.hint(format!("stop it, or choose another path with {flag}")),
        };
        match reason {
            ErrorKind::AddrInUse => failure.hint(format!("another program has the port; choose another one with {flag}, port 0 takes any free one")),
            ErrorKind::PermissionDenied => failure.hint(format!("ports below 1024, and the directories of others, need a privilege; choose another place with {flag}")),
            _ => failure.hint(format!("{flag} takes an address and a port, such as 127.0.0.1:8080, or unix:/run/webtask.sock")),
        }
    })
}

/// The socket of this number that the service manager passed on.
fn inherited(sockets: &mut ListenFd, index: usize) -> Result<Listener, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("socket {index} of LISTEN_FDS: {error}"))
            .hint("a socket unit for it has ListenStream= and Accept=no")
    };
    if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        return Listener::tcp(listener).map_err(failed);
    }
    let listener = sockets.take_unix_listener(index).map_err(failed)?;
    let listener = listener.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = UnixListener::from_std(listener).map_err(failed)?;
    Listener::unix(listener).map_err(failed)
}

/// Open sockets. Shown as a line for each.
pub(super) struct Sockets {
    listeners: Vec<Listener>,
    ops: Option<Listener>,
    pub(super) tls: Option<Arc<Tls>>,
    drain: Option<Duration>,
    linger: Option<Duration>,
}

impl Sockets {
    /// This one alone.
    pub(super) fn of(listener: Listener) -> Self {
        Self {
            listeners: vec![listener],
            ops: None,
            tls: None,
            drain: None,
            linger: None,
        }
    }

    /// A server of `host` on them.
    pub(super) fn server(self, host: Arc<Host>) -> Server {
        let mut server = Server::new(host);
        for listener in self.listeners {
            server = server.listen(listener);
        }
        if let Some(tls) = self.tls {
            server = server.tls(tls);
        }
        if let Some(ops) = self.ops {
            if !ops.address().is_local() {
                let address = ops.address();
                tracing::warn!(%address, "the operations listener is open to other machines: whoever reaches it sees how this runtime does");
            }
            server = server.ops(ops);
        }
        if let Some(drain) = self.drain {
            server = server.drain(drain);
        }
        server.linger(self.linger.unwrap_or_default())
    }
}

impl fmt::Display for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for listener in &self.listeners {
            match (listener.address(), &self.tls) {
                (ListenAddress::Tcp(address), Some(_)) => {
                    writeln!(f, "listening on https://{address}")?;
                }
                (ListenAddress::Tcp(address), None) => {
                    writeln!(f, "listening on http://{address}")?;
                }
                (address, _) => writeln!(f, "listening on {address}")?,
            }
        }
        match self.ops.as_ref().map(Listener::address) {
            Some(ListenAddress::Tcp(address)) => writeln!(f, "operations on http://{address}"),
            Some(address) => writeln!(f, "operations on {address}"),
            None => Ok(()),
        }
    }
}
