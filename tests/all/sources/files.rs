//! Code in files.

use std::{fs, path::Path, process::Command, time::Duration};

use webtask_tests::{TestHost, wait_for_line};

use super::{ECHO, HELLO, answers, echo, fails, hello, unpinned};

async fn host(dir: &Path) -> TestHost {
    let prefix = dir.to_str().expect("text");
    TestHost::builder().code(prefix).start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_is_seen_at_the_next_request() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.wasm");
    let host = host(dir.path()).await;
    let token = unpinned(&host, &format!("file://{}", file.display()));
    fails(&host, &token, "component-fetch").await;
    // In place, in quick succession, and back.
    for (bytes, text) in [(hello(), HELLO), (echo(), ECHO), (hello(), HELLO)] {
        fs::write(&file, bytes).expect("a file");
        answers(&host, &token, text).await;
        answers(&host, &token, text).await;
    }
    // By another file in its place, which claims to be as old.
    let new = dir.path().join("new.wasm");
    fs::write(&new, echo()).expect("a file");
    let old = fs::metadata(&file)
        .expect("a file")
        .modified()
        .expect("a time");
    fs::File::open(&new)
        .expect("a file")
        .set_modified(old)
        .expect("a time");
    fs::rename(&new, &file).expect("a file");
    answers(&host, &token, ECHO).await;
    fs::write(&file, "no component").expect("a file");
    fails(&host, &token, "component-invalid").await;
    // What was wrong with the file of before says nothing of this one.
    fs::write(&file, hello()).expect("a file");
    answers(&host, &token, HELLO).await;
    fs::remove_file(&file).expect("a file");
    fails(&host, &token, "component-fetch").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_regular_file_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("pipe.wasm");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let prefix = dir.path().to_str().expect("text");
    let host = TestHost::builder()
        .code(prefix)
        .limits(|limits| limits.fetch = Duration::from_secs(3600))
        .start()
        .await;
    let token = unpinned(&host, &format!("file://{}", pipe.display()));
    let reply = fails(&host, &token, "component-fetch").await;
    wait_for_line(reply.request_id(), "not a regular file").await;
}
