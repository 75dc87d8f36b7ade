//! Callers: polite ones, which want a whole answer, and one that does not care.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Mutex,
    time::{sleep, timeout},
};

/// After that an answer is lost.
const PATIENCE: Duration = Duration::from_secs(30);

type Sender = http2::SendRequest<Empty<Bytes>>;

/// A connection of HTTP/2 that is kept, and made anew when it is gone.
#[derive(Clone)]
pub(crate) struct Kept {
    address: SocketAddr,
    sender: Arc<Mutex<Option<Sender>>>,
}

fn request(token: &str) -> Request<Empty<Bytes>> {
    let request = Request::get("http://polite.example/run").header("webtask-token", token);
    request.body(Empty::new()).expect("a valid request")
}

/// Reads an answer, which has to be a guest's.
async fn read(answer: hyper::Result<Response<Incoming>>) -> Result<(), String> {
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|error| format!("{error:?}"))?;
    match head.status.as_u16() {
        200 => Ok(()),
        status => Err(format!("{status} {:?}", body.to_bytes())),
    }
}

async fn in_time(asked: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let asked = timeout(PATIENCE, asked).await;
    asked.unwrap_or_else(|_| Err(format!("nothing in {PATIENCE:?}")))
}

impl Kept {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let sender = Arc::default();
        Self { address, sender }
    }

    async fn sender(&self) -> Result<Sender, String> {
        let mut kept = self.sender.lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let stream = TcpStream::connect(self.address).await.map_err(said)?;
        let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| format!("{error:?}"))?;
        tokio::spawn(connection);
        Ok(kept.insert(sender).clone())
    }

    /// One request over it.
    pub(crate) async fn get(&self, token: &str) -> Result<(), String> {
        in_time(async {
            let mut sender = self.sender().await?;
            read(sender.send_request(request(token)).await).await
        })
        .await
    }
}

fn said(error: io::Error) -> String {
    format!("connecting: {error}")
}

/// One request over a connection of its own, HTTP/1.1.
pub(crate) async fn get(address: SocketAddr, token: &str) -> Result<(), String> {
    in_time(async {
        let stream = TcpStream::connect(address).await.map_err(said)?;
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = made.map_err(|error| format!("{error:?}"))?;
        tokio::spawn(connection);
        let mut request = request(token);
        *request.uri_mut() = "/run".parse().expect("a path");
        let host = "polite.example".parse().expect("a name");
        request.headers_mut().insert("host", host);
        read(sender.send_request(request).await).await
    })
    .await
}

/// What the operations listener says.
pub(crate) async fn operations(address: SocketAddr, path: &str) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    timeout(PATIENCE, asked).await.ok()?
}

/// A connection from 127.0.0.`last`.
pub(crate) async fn connect(address: SocketAddr, last: u8) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into())?;
    socket.connect(address).await
}

/// How a hostile caller treats its answer.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// Reads it whole.
    Read,
    /// Leaves after so many milliseconds.
    Leave(u64),
    /// Takes a little now and then, and leaves in the middle.
    Sip,
}

/// Asks over HTTP/1.1 with a body of `body` bytes; what came of it, in a word.
pub(crate) async fn ask(
    mut stream: TcpStream,
    token: &str,
    path: &str,
    body: usize,
    way: Way,
) -> &'static str {
    let head = format!(
        "POST /run{path} HTTP/1.1\r\nhost: x\r\nwebtask-token: {token}\r\ncontent-length: {body}\r\nconnection: close\r\n\r\n"
    );
    let (mut from, mut to) = stream.split();
    let send = async {
        to.write_all(head.as_bytes()).await?;
        for _ in 0..body / 4096 {
            to.write_all(&[b'x'; 4096]).await?;
        }
        to.write_all(&vec![b'x'; body % 4096]).await?;
        // Ends with the answer, not before it.
        std::future::pending::<io::Result<&str>>().await
    };
    let take = async {
        let (mut piece, mut taken) = (vec![0; 16 << 10], 0);
        loop {
            let most = if matches!(way, Way::Sip) {
                64
            } else {
                piece.len()
            };
            match from.read(&mut piece[..most]).await {
                Ok(0) if taken == 0 => return "closed without an answer",
                Ok(0) => return "answered to the end",
                Ok(more) => taken += more,
                Err(_) => return "broken off",
            }
            if matches!(way, Way::Sip) {
                sleep(Duration::from_millis(200)).await;
            }
        }
    };
    let both = async {
        tokio::pin!(take);
        tokio::select! {
            said = &mut take => said,
            // An answer may come although the body was not taken.
            _ = send => take.await,
        }
    };
    let patience = match way {
        Way::Read => PATIENCE,
        Way::Leave(ms) => Duration::from_millis(ms),
        Way::Sip => Duration::from_secs(5),
    };
    timeout(patience, both).await.unwrap_or(match way {
        Way::Read => "no answer in 30 s",
        _ => "the caller left",
    })
}
