//! A serving process: keys that change under it, revocations that outlive it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use webtask_tests::{BUILT, examples};

use crate::common::{Running, failure, keyring, run, stdout, webtask};

pub(crate) fn serve(keys: &str) -> Running {
    let args = [
        "serve",
        "--keys",
        keys,
        "--listen",
        "127.0.0.1:0",
        "--allow-code",
        BUILT,
    ];
    Running::start(&args, "listening")
}

pub(crate) fn hello(keys: &str) -> String {
    stdout(&run(&[
        "token",
        "create",
        "--keys",
        keys,
        "--url",
        examples::HELLO,
    ]))
}

/// The status and body of one request; `None` if the process is gone.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address.strip_prefix("http://")?).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nwebtask-token: {token}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

pub(crate) fn status(server: &Running, token: &str) -> u16 {
    request(&server.address, "GET", "/run", token)
        .expect("the server answers")
        .0
}

/// Waits until a call with `token` answers `wanted`.
fn becomes(server: &Running, token: &str, wanted: u16) {
    let until = Instant::now() + Duration::from_secs(20);
    while status(server, token) != wanted {
        assert!(Instant::now() < until, "it never answers {wanted}");
    }
}

#[test]
fn keys_rotate_and_retire_under_a_serving_process() {
    let (_dir, keys) = keyring();
    let server = serve(&keys);
    let old = hello(&keys);
    assert_eq!(status(&server, &old), 200);

    stdout(&run(&["keys", "rotate", "--keys", &keys]));
    let new = hello(&keys);
    becomes(&server, &new, 200);
    assert_eq!(status(&server, &old), 200, "an old key still opens");

    // What cannot be read leaves the keys in force.
    let good = fs::read(&keys).expect("the keyring");
    fs::write(&keys, "nonsense").expect("own file");
    server.signal("-HUP");
    for _ in 0..20 {
        assert_eq!((status(&server, &old), status(&server, &new)), (200, 200));
    }
    fs::write(&keys, good).expect("own file");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("own file");

    let kid = old.split('.').nth(1).expect("a kid");
    stdout(&run(&["keys", "retire", "--keys", &keys, kid]));
    server.signal("-HUP");
    becomes(&server, &old, 401);
    assert_eq!(status(&server, &new), 200);
}

/// Every revocation that was acknowledged holds after the process was killed in the middle of others.
#[test]
fn revocations_survive_a_kill() {
    let (_dir, keys) = keyring();
    let mut server = serve(&keys);
    let root = hello(&keys);
    let children: Vec<String> = (0..200)
        .map(|n| {
            let caveat = webtask_token::Caveat {
                note: Some(n.to_string()),
                ..webtask_token::Caveat::default()
            };
            webtask_token::attenuate(&root, &caveat).expect("a valid caveat")
        })
        .collect();
    let acknowledged = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for share in children.chunks(50) {
            let (acknowledged, address) = (&acknowledged, server.address.clone());
            scope.spawn(move || {
                for child in share {
                    let Some((status, answer)) = request(&address, "POST", "/v1/revoke", child)
                    else {
                        return;
                    };
                    assert_eq!(status, 200, "{answer}");
                    acknowledged.lock().expect("no panic").push(child.clone());
                }
            });
        }
        // In the middle: some are acknowledged, the others are under way or to come.
        while acknowledged.lock().expect("no panic").len() < 40 {
            std::thread::yield_now();
        }
        server.signal("-KILL");
    });
    server.wait();
    let acknowledged = acknowledged.into_inner().expect("no panic");
    assert!(
        (40..200).contains(&acknowledged.len()),
        "{}",
        acknowledged.len()
    );
    let again = serve(&keys);
    for child in &acknowledged {
        let (status, answer) = request(&again.address, "GET", "/run", child).expect("an answer");
        assert!(
            status == 401 && answer.contains("token-revoked"),
            "{status}: {answer}"
        );
    }
    assert_eq!(status(&again, &root), 200);
}

/// A disk that takes no more: the revocation is not acknowledged, and says whose fault that is.
#[test]
fn a_revocation_that_cannot_be_written_is_not_acknowledged() {
    let (_dir, keys) = keyring();
    // Made before, so that the second has a file to open.
    let mut before = serve(&keys);
    before.signal("-TERM");
    assert!(before.wait().success());
    let size = fs::metadata(format!("{keys}.revocations")).expect("the store");
    let binary = webtask(&[]);
    let serve = format!(
        "trap '' XFSZ; ulimit -f {}; exec {:?} serve --keys {keys:?} --listen 127.0.0.1:0 --allow-code {BUILT:?}",
        // In blocks of POSIX: the file may be as long as it is.
        size.len().div_ceil(512),
        binary.get_program()
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &serve]);
    let full = Running::spawn(shell, "listening");
    let root = hello(&keys);
    let refused = (0..900).find_map(|n| {
        let caveat = webtask_token::Caveat {
            note: Some(n.to_string()),
            ..webtask_token::Caveat::default()
        };
        let child = webtask_token::attenuate(&root, &caveat).expect("a valid caveat");
        let (status, answer) =
            request(&full.address, "POST", "/v1/revoke", &child).expect("an answer");
        (status != 200).then_some((child, status, answer))
    });
    let (child, told, answer) = refused.expect("the disk is full");
    assert_eq!(told, 500, "{answer}");
    assert!(answer.contains("\"internal\""), "{answer}");
    assert_eq!(status(&full, &child), 200, "it is not revoked");
    assert_eq!(status(&full, &root), 200);
}

#[test]
fn two_processes_do_not_share_a_file_of_revocations() {
    let (dir, keys) = keyring();
    let _first = serve(&keys);
    let second = webtask(&["serve", "--keys", &keys, "--listen", "127.0.0.1:0"])
        .output()
        .expect("starts");
    let (status, error) = failure(&second);
    assert!(status == 2 && error.contains("--revocations"), "{error}");
    let other = dir.path().join("other");
    let args = [
        "serve",
        "--keys",
        &keys,
        "--listen",
        "127.0.0.1:0",
        "--revocations",
        other.to_str().expect("text"),
    ];
    drop(Running::start(&args, "listening"));
    assert!(other.exists());
}

/// Passwords of registries are a file that others cannot read; nothing of it is told.
#[test]
fn credentials_of_registries_are_their_owners_only() {
    let (dir, keys) = keyring();
    let file = dir.path().join("registries.json");
    let name = file.to_str().expect("text");
    let serve = || {
        let args = [
            "serve",
            "--keys",
            &keys,
            "--listen",
            "127.0.0.1:0",
            "--registry-auth",
            name,
        ];
        failure(&run(&args))
    };
    let (exit, told) = serve();
    assert!(exit == 2 && told.contains(name), "{told}");
    fs::write(&file, r#"{"auths":{"h.test":{"auth":"s3cr3t"}}}"#).expect("own file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("own file");
    let (exit, told) = serve();
    assert!(exit == 1 && told.contains("chmod 600"), "{told}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("own file");
    let (exit, told) = serve();
    assert!(
        exit == 1 && told.contains("h.test") && !told.contains("s3cr3t"),
        "{told}"
    );
}

#[test]
fn a_mirror_that_is_none_says_what_one_is() {
    let (_dir, keys) = keyring();
    let args = ["serve", "--keys", &keys, "--code-mirror", "https://a.test/"];
    let (exit, told) = failure(&run(&args));
    assert!(exit == 2 && told.contains("FROM=TO"), "{told}");
}
