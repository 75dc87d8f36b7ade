//! Sockets to accept from: TCP, and Unix sockets with their files.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    task::{Context, Poll, ready},
};

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixSocket, UnixStream};

/// How an address says that it is a path.
const UNIX: &str = "unix:";
/// Who may connect: the owner and the group.
const MODE: u32 = 0o660;
/// Connections that wait in the kernel to be accepted, at most.
const BACKLOG: u32 = 4_096;

/// A socket to accept connections from.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: ListenAddress,
    /// Removed with the listener.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where a [`Listener`] listens; shown as an operator writes it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket; without a path if the system does not say which.
    Unix(Option<PathBuf>),
}

impl ListenAddress {
    /// Whether only this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(Some(path)) => write!(f, "{UNIX}{}", path.display()),
            Self::Unix(None) => f.write_str(UNIX),
        }
    }
}

/// Why nothing can listen there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Somebody listens at that path already.
    #[error("cannot listen on {UNIX}{}: another process does", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot listen on {address}")]
    Io {
        /// The address as it was given.
        address: String,
        /// What the system says.
        #[source]
        reason: io::Error,
    },
    /// Something that is no socket is at that path, and stays there.
    #[error("cannot listen on {UNIX}{}: a file that is no socket is there", .0.display())]
    NoSocket(PathBuf),
}

/// A connection, and where it came from.
pub(super) struct Accepted {
    pub(super) stream: Plain,
    /// Unix sockets have no addresses.
    pub(super) peer: Option<IpAddr>,
}

/// A socket before anything was read from it.
pub(super) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    /// Listens on `address`: an address or a name with a port, or `unix:` and a path.
    ///
    /// The socket's file has the mode 0660 and is removed with the listener. One that is there already is
    /// replaced if nobody listens on it.
    pub async fn bind(address: &str) -> Result<Self, ListenError> {
        let failed = |reason| ListenError::Io {
            address: address.to_owned(),
            reason,
        };
        match address.strip_prefix(UNIX) {
            Some(path) => bind_unix(Path::new(path)).await,
            None => {
                let listener = bind_tcp(address).await.map_err(failed)?;
                Self::tcp(listener).map_err(failed)
            }
        }
    }

    /// A TCP socket that listens.
    pub fn tcp(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            address: ListenAddress::Tcp(listener.local_addr()?),
            socket: Socket::Tcp(listener),
            _file: None,
        })
    }

    /// A Unix socket that listens. Its file is somebody else's, and stays.
    pub fn unix(listener: UnixListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self {
            address: ListenAddress::Unix(address.as_pathname().map(Path::to_owned)),
            socket: Socket::Unix(listener),
            _file: None,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        Poll::Ready(Ok(match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                Accepted {
                    stream: Plain::Tcp(stream),
                    peer: Some(peer.ip()),
                }
            }
            Socket::Unix(listener) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                Accepted {
                    stream: Plain::Unix(stream),
                    peer: None,
                }
            }
        }))
    }
}

/// As `TcpListener::bind` does it, with a longer queue: beyond it a burst of callers waits for seconds.
async fn bind_tcp(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        let bind = || {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // What the last process's connections left in TIME_WAIT keeps no new one from starting.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        match bind() {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn bind_unix(path: &Path) -> Result<Listener, ListenError> {
    let failed = |reason| ListenError::Io {
        address: format!("{UNIX}{}", path.display()),
        reason,
    };
    let socket = UnixSocket::new_stream().map_err(failed)?;
    if let Err(error) = socket.bind(path) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(failed(error));
        }
        remove_stale(path).await?;
        socket.bind(path).map_err(failed)?;
    }
    // Before it listens nobody can connect: there is no moment in which more may than the mode says.
    let file = SocketFile::new(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    Ok(Listener {
        socket: Socket::Unix(listener),
        address: ListenAddress::Unix(Some(path.to_owned())),
        _file: Some(file),
    })
}

/// Removes a socket on which nobody listens, as a process leaves it that was killed.
async fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |reason| ListenError::Io {
        address: format!("{UNIX}{}", path.display()),
        reason,
    };
    let there = std::fs::symlink_metadata(path).map_err(failed)?;
    if !there.file_type().is_socket() {
        return Err(ListenError::NoSocket(path.to_owned()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        _ => Err(ListenError::InUse(path.to_owned())),
    }
}

/// The file of a Unix socket, removed when dropped unless another one has its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and number.
    node: (u64, u64),
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            node: node(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if node(&self.path).is_ok_and(|node| node == self.node) {
            // Whoever removed it in between did what was to be done.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn node(path: &Path) -> io::Result<(u64, u64)> {
    let meta = std::fs::symlink_metadata(path)?;
    Ok((meta.dev(), meta.ino()))
}
