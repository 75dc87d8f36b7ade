//! HTTP/2 below hyper: a peer that sends whatever frames a test lets it send (RFC 9113).

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::SOON;

/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
#[expect(missing_docs, reason = "named as in RFC 9113, section 6")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const CONTINUATION: u8 = 9;
}

/// `ACK` of SETTINGS and PING, `END_STREAM` of others.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS`.
pub const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// A peer with a connection of its own.
pub struct Frames {
    stream: TcpStream,
}

impl Frames {
    /// Connects, and sends the preface with these settings.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the host listens");
        stream.set_nodelay(true).expect("a socket");
        let mut peer = Self { stream };
        let values = settings.iter().flat_map(|(name, value)| {
            let (name, value) = (name.to_be_bytes(), value.to_be_bytes());
            name.into_iter().chain(value)
        });
        let values: Vec<u8> = values.collect();
        assert!(peer.write(PREFACE).await);
        assert!(peer.send(kind::SETTINGS, 0, 0, &values).await);
        peer
    }

    /// Sends one frame; `false` if the connection is gone.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let bytes = frame(kind, flags, stream, payload);
        self.write(&bytes).await
    }

    /// Sends any bytes; `false` if the connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Sends a request without a body.
    pub async fn get(&mut self, stream: u32, path: &str, fields: &[(&str, &str)]) -> bool {
        let head = head("GET", path, fields);
        let flags = END_STREAM | END_HEADERS;
        self.send(kind::HEADERS, flags, stream, &head).await
    }

    /// The next frame; `None` at the end of the connection. Panics if nothing comes.
    pub async fn next(&mut self) -> Option<Frame> {
        let next = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let [a, b, c, kind, flags, s @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind,
                flags,
                stream: u32::from_be_bytes(s) & 0x7fff_ffff,
                payload,
            })
        };
        let next = tokio::time::timeout(SOON * 2, next).await;
        next.expect("a frame, or the end")
    }

    /// The next frame of this type; panics at the end of the connection.
    pub async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await;
            let frame = frame.unwrap_or_else(|| panic!("no frame of type {kind} before the end"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// All frames until the host ends the connection.
    pub async fn until_its_end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A head in HPACK, without the table (RFC 7541, section 6.2.2).
pub fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [
        (":method", method),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", path),
    ];
    for (name, value) in pseudo.iter().chain(fields) {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length with a prefix of seven bits (RFC 7541, section 5.1).
fn integer(block: &mut Vec<u8>, mut value: usize) {
    if value < 0x7f {
        block.push(value as u8);
        return;
    }
    block.push(0x7f);
    value -= 0x7f;
    while value >= 0x80 {
        block.push((value % 0x80) as u8 | 0x80);
        value /= 0x80;
    }
    block.push(value as u8);
}
