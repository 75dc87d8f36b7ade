#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc};

use super::*;

const OURS: Fingerprint = [7; 32];

/// A program cannot be started while a child of another test, before it became another program, has it
/// open to write.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What comes of a program that says `says`, and then does `then`.
async fn compiled_by(says: &[u8], then: &str) -> Result<Compiled, CompileError> {
    let _one = ONE.lock().await;
    let dir = tempfile::tempdir().unwrap();
    let (words, program) = (dir.path().join("words"), dir.path().join("program"));
    fs::write(&words, says).unwrap();
    let script = format!("#!/bin/sh\n/bin/cat {}\n{then}\n", words.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let bounds = Bounds {
        time: Duration::from_secs(5),
        memory: 1 << 30,
        component: 1_000,
        compiled: 1_000,
        threads: 1,
    };
    let shop = Arc::new(Shop {
        program,
        bounds,
        fingerprint: OURS,
        spare: Mutex::const_new(None),
    });
    let objection = Box::new(|_: &Analysis| None);
    shop.compile(Bytes::from_static(b"a component"), objection, ())
        .await
}

fn frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
    [&wire::head(tag, payload), payload].concat()
}

async fn failure(says: &[&[u8]], then: &str) -> CompileError {
    match compiled_by(&says.concat(), then).await {
        Ok(_) => panic!("that is no compiler"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_compiler_of_another_version_is_refused() {
    let CompileError::Failed(reason) = failure(&[&wire::hello(&[8; 32])], "exec /bin/cat").await
    else {
        panic!("it is not ours");
    };
    assert!(reason.contains("restart the host"), "{reason}");
}

/// Nothing of what such a compiler says becomes code.
#[tokio::test]
async fn a_compiler_that_lies_is_refused() {
    let hello = wire::hello(&OURS);
    let analysis = frame(
        Tag::Analysis,
        br#"{"generation":"P2","imports":[],"needs":[]}"#,
    );
    let code = frame(Tag::Code, b"native code");
    let mut changed = code.clone();
    *changed.last_mut().unwrap() ^= 1;
    let large = wire::head(Tag::Code, &[0; 1_001]);
    let wait = "exec /bin/sleep 1000";
    for (says, then, error) in [
        (code.as_slice(), wait, "not what was asked for"),
        (&frame(Tag::Analysis, b"{}"), wait, "not an analysis"),
        (
            &[&analysis, changed.as_slice()].concat(),
            wait,
            "not what was asked for",
        ),
        (
            &[&analysis, analysis.as_slice()].concat(),
            wait,
            "not what was asked for",
        ),
        (b"\xff\xff\xff\xff", wait, "not what was asked for"),
        (
            &[&analysis, &code[..50]].concat(),
            "exit 3",
            "exit status: 3",
        ),
        (
            &analysis,
            "echo out of luck >&2; kill -SEGV $$",
            "signal: 11",
        ),
        (
            &analysis,
            "exec >&-; exec /bin/sleep 1000",
            "did not answer",
        ),
    ] {
        let CompileError::Failed(reason) = failure(&[&hello, says], then).await else {
            panic!("{error}");
        };
        assert!(reason.contains(error), "{reason}, not {error}");
    }
    for (says, then, error) in [
        (
            &[&analysis, large.as_slice()].concat(),
            wait,
            CompileError::TooLarge(1_000),
        ),
        (
            &analysis,
            wait,
            CompileError::Timeout(Duration::from_secs(5)),
        ),
        (
            &analysis,
            "kill -XCPU $$",
            CompileError::Timeout(Duration::from_secs(5)),
        ),
        (
            &frame(Tag::Memory, b""),
            wait,
            CompileError::Memory(1 << 30),
        ),
        (
            &frame(Tag::Invalid, b"why"),
            wait,
            CompileError::Invalid("why".into()),
        ),
        (
            &analysis,
            "echo memory allocation of 5 bytes failed >&2; kill -ABRT $$",
            CompileError::Memory(1 << 30),
        ),
    ] {
        assert_eq!(failure(&[&hello, says], then).await, error);
    }
}
