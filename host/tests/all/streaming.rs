//! Bodies of a size that fits no memory, through a serving process whose memory is watched.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
};

use webtask_tests::{BUILT, guests};

use crate::common::{Running, field, keyring, run, stdout, text};

/// Bytes that go through: some seconds in a debug build.
const BYTES: usize = 1 << 30;

/// Bytes that nobody reads at first.
const UNREAD: usize = 256 << 20;

/// What the process may grow by: buffers of sockets, of the guest and of the host between.
const GROWTH: usize = 48 << 20;

/// A serving process with room for `BYTES`, and its keyring.
fn serve() -> (tempfile::TempDir, String, Running) {
    let (dir, keys) = keyring();
    let config = dir.path().join("webtask.toml");
    fs::write(
        &config,
        format!(
            "allow-code = [{BUILT:?}]\n[limits]\nwall = '10m'\ncpu = '10m'\nstall = '10m'\nrequest-bytes = '2GiB'\nresponse-bytes = '2GiB'\n"
        ),
    )
    .expect("a file");
    let args = [
        "serve",
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
        "--config",
        text(&config),
    ];
    let server = Running::start(&args, "listening");
    (dir, keys, server)
}

fn token(keys: &str, wasm: &str) -> String {
    stdout(&run(&["token", "create", "--keys", keys, "--url", wasm]))
}

/// Forgets the most memory that the process had (proc(5), `clear_refs`); what it has now.
fn forget_peak(server: &Running) -> usize {
    let file = format!("/proc/{}/clear_refs", server.child.id());
    fs::write(file, "5").expect("a process of our own");
    peak(server)
}

/// The most memory that the process had since, in bytes.
fn peak(server: &Running) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id()));
    let status = status.expect("the process lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("a peak").parse::<usize>().expect("a number") << 10
}

/// A request whose body, if it has one, is still to be sent.
fn begin(server: &Running, token: &str, path: &str, length: usize) -> TcpStream {
    let address = server.address.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("the host listens");
    let head = format!(
        "POST /run{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nwebtask-token: {token}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream
}

/// Reads the head and the body to its end, by its length or in chunks; the bytes of the body, each of which
/// `check` has seen.
fn read(stream: TcpStream, mut check: impl FnMut(usize, &[u8])) -> usize {
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let mut head = String::new();
    while reader.read_line(&mut head).expect("a line") > 2 {}
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length: Option<usize> =
        field(&head, "content-length").map(|length| length.parse().expect("a number"));
    let (mut read, mut piece, mut line) = (0, Vec::new(), String::new());
    loop {
        let size = match length {
            Some(length) => (1 << 16).min(length - read),
            None => {
                line.clear();
                reader.read_line(&mut line).expect("the size of a chunk");
                usize::from_str_radix(line.trim(), 16).expect("a size")
            }
        };
        let end = if length.is_some() { 0 } else { 2 };
        piece.resize(size + end, 0);
        reader.read_exact(&mut piece).expect("a whole piece");
        check(read, &piece[..size]);
        read += size;
        if size == 0 {
            return read;
        }
    }
}

/// The byte at a place of the stream: pieces that are lost or mixed up show.
fn byte(at: usize) -> u8 {
    u8::try_from(at % 251).expect("below 251")
}

#[test]
fn an_echo_of_any_size_takes_constant_memory() {
    let (_dir, keys, server) = serve();
    let echo = token(&keys, guests::ECHO);
    // Compiled, and every buffer made once.
    let mut small = begin(&server, &echo, "", 1 << 20);
    small.write_all(&vec![0; 1 << 20]).expect("sent");
    assert_eq!(read(small, |_, _| {}), 1 << 20);
    let before = forget_peak(&server);

    let stream = begin(&server, &echo, "", BYTES);
    let mut upload = stream.try_clone().expect("a socket");
    let started = std::time::Instant::now();
    let uploading = std::thread::spawn(move || {
        // A multiple of the period, so that each piece begins alike.
        let piece: Vec<u8> = (0..251 * 256).map(byte).collect();
        let mut left = BYTES;
        while left > 0 {
            let now = left.min(piece.len());
            upload.write_all(&piece[..now]).expect("taken");
            left -= now;
        }
    });
    let read = read(stream, |at, piece| {
        for (n, got) in piece.iter().enumerate().step_by(4_099) {
            assert_eq!(*got, byte(at + n), "at {}", at + n);
        }
    });
    uploading.join().expect("all is sent");
    let growth = peak(&server).saturating_sub(before);
    println!(
        "{BYTES} bytes in {:?}, memory grew by {growth}",
        started.elapsed()
    );
    assert_eq!(read, BYTES);
    assert!(growth < GROWTH, "memory grew by {growth} bytes");
}

/// A guest that writes while nobody reads waits: what it has written is nowhere kept.
#[test]
fn an_answer_that_nobody_reads_takes_constant_memory() {
    let (_dir, keys, server) = serve();
    let big = token(&keys, guests::BIGRESPONSE);
    assert_eq!(
        read(begin(&server, &big, "/?bytes=1048576", 0), |_, _| {}),
        1 << 20
    );
    let before = forget_peak(&server);
    let unread = begin(&server, &big, &format!("/?bytes={UNREAD}"), 0);
    // It has begun, and has all the time that others take.
    unread.peek(&mut [0]).expect("an answer begins");
    for _ in 0..5 {
        assert_eq!(
            read(begin(&server, &big, "/?bytes=16777216", 0), |_, _| {}),
            16 << 20
        );
    }
    let growth = peak(&server).saturating_sub(before);
    assert!(growth < GROWTH, "memory grew by {growth} bytes");
    // And nothing was lost.
    assert_eq!(read(unread, |_, _| {}), UNREAD);
}
