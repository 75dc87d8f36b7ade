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
    }))
}
