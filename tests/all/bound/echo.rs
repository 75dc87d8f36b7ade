//! An origin that tells what it was sent, in whatever way its path asks for: honest, and made for reflection.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as it stood on the wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    /// Request line and fields.
    pub(crate) head: String,
    /// The body, without its chunks' frames.
    pub(crate) body: Vec<u8>,
}

impl Wire {
    /// All values of the field `name`.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        let fields = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn asked(&self, name: &str) -> Option<&str> {
        let query = self.path().split_once('?')?.1;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }
}

/// A running echo, stopped when dropped.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Wire>>>,
    served: JoinHandle<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = seen.clone();
        let served = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let seen = shared.clone();
                tokio::spawn(async move {
                    // A caller that leaves is no failure of the origin.
                    let _ = serve(stream, &seen).await;
                });
            }
        });
        Self {
            address,
            seen,
            served,
        }
    }

    /// Requests so far.
    pub(crate) fn seen(&self) -> Vec<Wire> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// One request for each connection.
async fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Wire>>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    }
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("just found")
        + 4;
    let body = bytes.split_off(end);
    let mut wire = Wire {
        head: String::from_utf8_lossy(&bytes).into_owned(),
        body,
    };
    if wire.path().starts_with("/slot/stream") {
        return echo_stream(stream, wire.body).await;
    }
    read_body(&mut stream, &mut wire).await?;
    let last = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let last = seen
            .iter()
            .rev()
            .find(|wire| !wire.fields("authorization").is_empty())
            .cloned();
        seen.push(wire.clone());
        last
    };
    // `last` tells of an earlier request.
    let told = if wire.path().contains("last") {
        last.unwrap_or_default()
    } else {
        wire.clone()
    };
    answer(&mut stream, &wire, &told).await?;
    stream.shutdown().await
}

async fn read_body(stream: &mut TcpStream, wire: &mut Wire) -> std::io::Result<()> {
    let length = wire
        .fields("content-length")
        .first()
        .and_then(|length| length.parse().ok());
    let chunked = !wire.fields("transfer-encoding").is_empty();
    loop {
        let whole = match length {
            _ if chunked => wire.body.ends_with(b"0\r\n\r\n"),
            Some(length) => wire.body.len() >= length,
            None => true,
        };
        if whole || stream.read_buf(&mut wire.body).await? == 0 {
            break;
        }
    }
    if chunked {
        wire.body = unchunked(&wire.body);
    }
    Ok(())
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&bytes[..line])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok());
        let (Some(size @ 1..), rest) = (size, &bytes[line + 2..]) else {
            break;
        };
        out.extend(&rest[..size.min(rest.len())]);
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
    out
}

/// Sends each chunk back as it comes. `begun` is what of the body came with the head.
async fn echo_stream(mut stream: TcpStream, begun: Vec<u8>) -> std::io::Result<()> {
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    let mut raw = begun;
    let mut told = 0;
    loop {
        let all = unchunked(&raw);
        if all.len() > told {
            chunk(&mut stream, &all[told..]).await?;
            told = all.len();
        }
        if raw.ends_with(b"0\r\n\r\n") || stream.read_buf(&mut raw).await? == 0 {
            return stream.write_all(b"0\r\n\r\n").await;
        }
    }
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream
        .write_all(format!("{:x}\r\n", bytes.len()).as_bytes())
        .await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await
}

async fn answer(stream: &mut TcpStream, wire: &Wire, told: &Wire) -> std::io::Result<()> {
    let place = wire.asked("in").unwrap_or("body");
    let secret = told.fields("authorization").join(" ");
    let said = format!(
        "{}{}",
        wire.asked("before").unwrap_or_default(),
        written(&secret, wire)
    );
    let mut status = wire.asked("status").unwrap_or("200").to_owned();
    let mut fields = String::new();
    let mut trailers = String::new();
    let mut body = format!("you sent {said} to {}", wire.path()).into_bytes();
    match place {
        "header" => fields = format!("x-you-sent: {said}\r\n"),
        "name" => fields = format!("x-{}: 1\r\n", secret.replace(' ', "-")),
        "cookie" => fields = format!("set-cookie: session={said}; Path=/\r\n"),
        "location" => fields = format!("location: /next?was={said}\r\n"),
        "trailer" => trailers = format!("x-you-sent: {said}\r\n"),
        "hint" => {
            stream
                .write_all(format!("HTTP/1.1 103 Early Hints\r\nlink: <{said}>\r\n\r\n").as_bytes())
                .await?
        }
        // What the caller sent beside the secret.
        "sent" => {
            body = [
                wire.path().as_bytes(),
                b" ",
                &wire.body,
                format!(
                    " {:?}",
                    ["user-agent", "origin", "referer", "cookie", "x-key"]
                        .map(|name| wire.fields(name))
                )
                .as_bytes(),
            ]
            .concat()
        }
        _ => {}
    }
    if !matches!(place, "body" | "sent") {
        body = b"as asked".to_vec();
    }
    if wire.asked("form") == Some("utf16")
        || wire.asked("negotiate").is_some() && !wire.fields("accept-charset").is_empty()
    {
        body = String::from_utf8_lossy(&body)
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
    }
    if let Some(to) = wire.asked("to") {
        status = "307".to_owned();
        fields = format!("location: {to}\r\n");
    }
    if wire.asked("negotiate").is_some()
        && wire
            .fields("accept-encoding")
            .iter()
            .any(|coding| coding.contains("rot13"))
    {
        fields.push_str("content-encoding: x-rot13\r\n");
        body = rot13(&String::from_utf8_lossy(&body)).into_bytes();
    }
    if let Some(range) = wire
        .fields("range")
        .first()
        .filter(|_| wire.asked("negotiate").is_some())
    {
        let from = range
            .trim_start_matches("bytes=")
            .split('-')
            .next()
            .and_then(|from| from.parse().ok())
            .unwrap_or(0);
        part(&mut body, from, &mut fields);
        status = "206".to_owned();
    }
    if let Some(number) = wire
        .asked("part")
        .and_then(|number| number.parse::<usize>().ok())
    {
        part(&mut body, 5 * number, &mut fields);
        if wire.asked("content-range").is_none() && status == "200" {
            fields.clear();
        }
    }
    for (name, field) in [
        ("coding", "content-encoding"),
        ("transfer", "transfer-encoding"),
    ] {
        if let Some(coding) = wire.asked(name) {
            fields.push_str(&format!("{field}: {coding}\r\n"));
        }
    }
    let head = format!(
        "HTTP/1.1 {status} Said\r\n{fields}transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    pieces(stream, wire, &body, &secret).await?;
    stream
        .write_all(format!("0\r\n{trailers}\r\n").as_bytes())
        .await
}

/// The body, cut as the path asks: each so many bytes, or once within the secret with a stop or the end after it.
async fn pieces(
    stream: &mut TcpStream,
    wire: &Wire,
    body: &[u8],
    secret: &str,
) -> std::io::Result<()> {
    let number = |name| {
        wire.asked(name)
            .and_then(|number| number.parse::<usize>().ok())
    };
    let start = body
        .windows(secret.len().max(1))
        .position(|window| window == secret.as_bytes())
        .unwrap_or(0);
    for name in ["stall", "break"] {
        if let Some(after) = number(name) {
            let (first, rest) = body.split_at((start + after).min(body.len()));
            chunk(stream, first).await?;
            if name == "break" {
                stream.shutdown().await?;
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            // The guest gives up after a tenth of it.
            tokio::time::sleep(Duration::from_secs(1)).await;
            return chunk(stream, rest).await;
        }
    }
    for piece in body.chunks(number("cut").unwrap_or(body.len()).max(1)) {
        chunk(stream, piece).await?;
    }
    Ok(())
}

fn part(body: &mut Vec<u8>, from: usize, fields: &mut String) {
    *body = body.iter().skip(from).take(5).copied().collect();
    fields.push_str(&format!("content-range: bytes {from}-{}/*\r\n", from + 4));
}

/// The text in the form that the path asks for.
fn written(text: &str, wire: &Wire) -> String {
    let bytes = text.as_bytes();
    let each = |f: fn(u8) -> String| bytes.iter().map(|byte| f(*byte)).collect();
    match wire.asked("form").unwrap_or_default() {
        "base64" => base64(bytes, b"+/"),
        "base64url" => base64(bytes, b"-_"),
        "hex" => each(|byte| format!("{byte:02x}")),
        "percent" => each(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        }),
        "percent-all" => each(|byte| format!("%{byte:02x}")),
        "json" => serde_json::json!({ "authorization": text }).to_string(),
        "html" => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        "rot13" => rot13(text),
        "unicode" => each(|byte| format!("\\u{byte:04x}")),
        "backslash" => each(|byte| match char::from(byte) {
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c => format!("\\{c}"),
        }),
        "entities" => each(|byte| format!("&#x{byte:x};")),
        "quoted-printable" => each(|byte| format!("={byte:02X}=\r\n")),
        "twice" => each(|byte| format!("%26%23{byte}%3b")),
        "lines" => {
            // The line breaks where the value has begun.
            let encoded = base64(&[&[b'.'; 34], bytes].concat(), b"+/").into_bytes();
            let lines: Vec<&[u8]> = encoded.chunks(60).collect();
            String::from_utf8_lossy(&lines.join(&b"\r\n"[..])).into_owned()
        }
        _ => text.to_owned(),
    }
}

fn rot13(text: &str) -> String {
    let turn = |c: char| match c {
        'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
        other => other,
    };
    text.chars().map(turn).collect()
}

/// RFC 4648 section 4, without padding; the last two letters of the alphabet are given.
pub(crate) fn base64(bytes: &[u8], last: &[u8; 2]) -> String {
    let mut alphabet: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .collect();
    alphabet.extend(last);
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte))
            << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            out.push(char::from(alphabet[bits >> (18 - 6 * at) & 63]));
        }
    }
    out
}
