//! Answers of HTTP/1.1, as far as a load has to know them: the status, and where they end.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Longer heads are none.
const HEAD: usize = 64 << 10;
/// How chunks end, and with them an answer.
const LAST: &[u8] = b"0\r\n\r\n";

/// What was read so far.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Said {
    /// Less than an answer.
    More,
    /// An answer with this status.
    Whole(u16),
    /// The connection has ended.
    Gone,
    /// No HTTP.
    Garbage(String),
}

/// Reads the answers of one connection, one at a time.
#[derive(Default)]
pub(crate) struct Reader {
    /// A head that has not ended.
    head: Vec<u8>,
    body: Option<(u16, Body)>,
}

enum Body {
    /// Bytes that are missing.
    Length(usize),
    /// The last bytes that came.
    Chunked(Vec<u8>),
}

impl Reader {
    /// Takes what came.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Said {
        if self.body.is_some() {
            return self.go_on(bytes);
        }
        if self.head.is_empty() {
            return self.begin(bytes);
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(bytes);
        self.begin(&head)
    }

    fn begin(&mut self, bytes: &[u8]) -> Said {
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            if bytes.len() > HEAD {
                return Said::Garbage("a head without an end".to_owned());
            }
            self.head = bytes.to_vec();
            return Said::More;
        };
        let (head, rest) = bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head);
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let Some(status) = status else {
            return Said::Garbage(head.into_owned());
        };
        let field = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let length = field("content-length").and_then(|length| length.parse().ok());
        let body = match length {
            Some(length) => Body::Length(length),
            None => Body::Chunked(Vec::new()),
        };
        self.body = Some((status, body));
        self.go_on(rest)
    }

    fn go_on(&mut self, bytes: &[u8]) -> Said {
        let Some((status, body)) = &mut self.body else {
            return Said::More;
        };
        let ended = match body {
            Body::Length(left) => {
                *left = left.saturating_sub(bytes.len());
                *left == 0
            }
            Body::Chunked(tail) => {
                tail.extend_from_slice(&bytes[bytes.len().saturating_sub(LAST.len())..]);
                tail.drain(..tail.len().saturating_sub(LAST.len()));
                tail == LAST
            }
        };
        if !ended {
            return Said::More;
        }
        let status = *status;
        self.body = None;
        Said::Whole(status)
    }
}

/// One request over a connection that waits for its answer; how long that took.
pub(crate) fn once(stream: &mut TcpStream, request: &[u8]) -> io::Result<Duration> {
    let started = Instant::now();
    stream.write_all(request)?;
    let (mut reader, mut buffer) = (Reader::default(), vec![0; 64 << 10]);
    loop {
        let read = stream.read(&mut buffer)?;
        match reader.take(&buffer[..read]) {
            _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            Said::More => {}
            Said::Whole(200) => return Ok(started.elapsed()),
            said => {
                let text = String::from_utf8_lossy(&buffer[..read]);
                return Err(io::Error::other(format!("{said:?} {text}")));
            }
        }
    }
}

/// A connection for [`once`].
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_end_however_they_come() {
        let known = &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..];
        let chunked =
            b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        for (answer, status) in [(known, 200), (chunked, 201)] {
            for piece in 1..answer.len() + 1 {
                let mut reader = Reader::default();
                let said: Vec<_> = answer.chunks(piece).map(|part| reader.take(part)).collect();
                let (last, before) = said.split_last().expect("pieces");
                assert_eq!(last, &Said::Whole(status), "{piece}");
                assert!(
                    before.iter().all(|said| *said == Said::More),
                    "{piece}: {said:?}"
                );
            }
        }
    }
}
