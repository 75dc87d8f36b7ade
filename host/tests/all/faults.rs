//! Whole processes when the machine fails them: killed under load, and a disk that is full.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use webtask_tests::BUILT;

use crate::{
    common::{Running, keyring},
    serve::{hello, request, serve, status},
};

/// Whatever an answer says, it is whole and right; what is not answered is a connection that ended.
fn whole_or_nothing(address: &str, token: &str) -> Option<bool> {
    let mut stream = TcpStream::connect(address.strip_prefix("http://")?).ok()?;
    let head = format!(
        "GET /run/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nwebtask-token: {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).is_ok();
    let answer = String::from_utf8(answer).expect("text");
    if answer.is_empty() {
        return Some(false);
    }
    let whole = answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Hello, x!\n");
    // Half an answer has no end: neither its length nor its last chunk came.
    let cut = !ended || !answer.contains("Hello, x!\n");
    assert!(whole || cut, "{answer:?}");
    Some(whole)
}

#[test]
fn a_process_that_is_killed_under_load_leaves_files_for_the_next_one() {
    let (dir, keys) = keyring();
    let mut server = serve(&keys);
    let token = hello(&keys);
    let revoked = webtask_token::attenuate(
        &token,
        &webtask_token::Caveat {
            note: Some("revoked".into()),
            ..webtask_token::Caveat::default()
        },
    )
    .expect("a valid caveat");
    let answered = request(&server.address, "POST", "/v1/revoke", &revoked);
    assert_eq!(answered.map(|(status, _)| status), Some(200));
    let before = fs::read(&keys).expect("the keyring");
    let (whole, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    match whole_or_nothing(&server.address, &token) {
                        Some(true) => whole.fetch_add(1, Ordering::Relaxed),
                        Some(false) => 0,
                        // Nobody listens any more.
                        None => return,
                    };
                }
            });
        }
        while whole.load(Ordering::Relaxed) < 50 {
            std::thread::yield_now();
        }
        server.signal("-KILL");
    });
    stop.store(true, Ordering::Relaxed);
    server.wait();
    assert_eq!(fs::read(&keys).expect("the keyring"), before);
    // No files beside these: a lock that is left would be one.
    let mut files: Vec<_> = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    files.sort();
    assert_eq!(files, ["keys.toml", "keys.toml.revocations"]);
    let again = serve(&keys);
    assert_eq!(status(&again, &token), 200);
    let (code, answer) = request(&again.address, "GET", "/run", &revoked).expect("an answer");
    assert!(code == 401 && answer.contains("token-revoked"), "{answer}");
}

/// A serving process that cannot make files larger than `blocks` of 512 bytes. Its writes fail as on a full disk, for
/// the signal that would end the process is ignored.
fn serve_on_a_full_disk(keys: &str, blocks: u64) -> Running {
    let binary = env!("CARGO_BIN_EXE_webtask");
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
    let args = [
        "serve",
        "--keys",
        keys,
        "--listen",
        "127.0.0.1:0",
        "--allow-code",
        BUILT,
    ];
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", &script, binary])
        .args(args)
        .stdin(Stdio::null());
    Running::spawn(command, "listening")
}

#[test]
fn a_full_disk_fails_the_revocation_and_nothing_else() {
    let (_dir, keys) = keyring();
    let token = hello(&keys);
    let child = |number: usize| {
        let caveat = webtask_token::Caveat {
            // Each fills some of the file.
            note: Some(format!("{number}")),
            ..webtask_token::Caveat::default()
        };
        webtask_token::attenuate(&token, &caveat).expect("a valid caveat")
    };
    // The file as it is at first, and no byte more.
    drop(serve(&keys));
    let store = format!("{keys}.revocations");
    let size = fs::metadata(Path::new(&store)).expect("the store").len();
    let server = serve_on_a_full_disk(&keys, size.div_ceil(512));
    let revoke = |server: &Running, token: &str| {
        request(&server.address, "POST", "/v1/revoke", token).expect("an answer")
    };
    let (mut taken, mut refused) = (Vec::new(), None);
    for number in 0..1_000 {
        let token = child(number);
        match revoke(&server, &token) {
            (200, _) => taken.push(token),
            (status, answer) => {
                assert!(
                    status == 500 && answer.contains(r#""code":"internal""#),
                    "{answer}"
                );
                refused = Some(token);
                break;
            }
        }
    }
    let refused = refused.expect("the disk is full at some time");
    // Everything else goes on: what was revoked is, and what was not runs.
    assert_eq!(status(&server, &token), 200);
    assert_eq!(status(&server, &refused), 200);
    for token in &taken {
        assert_eq!(status(&server, token), 401);
    }
    // Room again, for the same process.
    let pid = server.child.id().to_string();
    let more = std::process::Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(more.expect("prlimit runs").success());
    let (code, answer) = revoke(&server, &refused);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(status(&server, &refused), 401);
    taken.push(refused);
    drop(server);
    let again = serve(&keys);
    for token in &taken {
        assert_eq!(status(&again, token), 401);
    }
    assert_eq!(status(&again, &token), 200);
}
