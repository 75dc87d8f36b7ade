//! Tries what no webtask has: files, sockets, standard input, arguments. Answers with what each says.
use serde_json::json;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    fn said<T>(result: std::io::Result<T>) -> String {
        result.map_or_else(|error| format!("error: {error}"), |_| "ok".to_owned())
    }
    let mut input = String::new();
    let read = std::io::stdin().read_to_string(&mut input);
    webtask::json(&json!({
        "read": said(std::fs::read("/etc/passwd")),
        "write": said(std::fs::write("/tmp/x", "x")),
        "list": said(std::fs::read_dir("/")),
        "connect": said(TcpStream::connect("127.0.0.1:80")),
        "listen": said(TcpListener::bind("127.0.0.1:0")),
        "udp": said(UdpSocket::bind("127.0.0.1:0")),
        "resolve": said("example.com:80".to_socket_addrs()),
        "stdin": match read { Ok(n) => format!("{n} bytes"), Err(error) => format!("error: {error}") },
        "args": std::env::args().count(),
        "env": std::env::vars().count(),
        "newer": newer().await,
    }))
}

#[cfg(not(feature = "p3"))]
async fn newer() -> Option<serde_json::Value> {
    None
}

/// The same through the interfaces of WASI 0.3, which `std` does not use.
#[cfg(feature = "p3")]
async fn newer() -> Option<serde_json::Value> {
    use sockets::types::{
        IpAddressFamily::Ipv4, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
    };
    use webtask_test_guests::wasi::{cli, filesystem, sockets};
    fn said<T>(result: Result<T, impl std::fmt::Debug>) -> String {
        result.map_or_else(|error| format!("error: {error:?}"), |_| "ok".to_owned())
    }
    let at = |port| {
        let address = (127, 0, 0, 1);
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address })
    };
    let connect = match TcpSocket::create(Ipv4) {
        Ok(socket) => said(socket.connect(at(80)).await),
        Err(error) => said::<()>(Err(error)),
    };
    let listen = TcpSocket::create(Ipv4).and_then(|socket| {
        socket.bind(at(0))?;
        socket.listen()
    });
    let udp = UdpSocket::create(Ipv4).and_then(|socket| socket.bind(at(0)));
    let resolve = sockets::ip_name_lookup::resolve_addresses("example.com".to_owned()).await;
    let (stdin, _) = cli::stdin::read_via_stream();
    Some(json!({
        "connect": connect,
        "listen": said(listen),
        "udp": said(udp),
        "resolve": said(resolve),
        "stdin": stdin.collect().await.len(),
        "args": cli::environment::get_arguments().len(),
        "env": cli::environment::get_environment().len(),
        "directories": filesystem::preopens::get_directories().len(),
    }))
}
