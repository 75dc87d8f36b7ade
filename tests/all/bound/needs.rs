//! Components that name the secrets they cannot do without.

use webtask_tests::{TestHost, claims_for, wait_for_line};

use super::guests;

/// Trap 8: the names are in the author's log, and neither a name nor a value is in the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_8_a_missing_secret_fails_before_the_component_runs() {
    let host = TestHost::start().await;
    for (held, missing) in [
        (vec![], "does not hold: other.key, stripe-key;"),
        (
            vec![("stripe-key", "v4lue-one")],
            "does not hold: other.key;",
        ),
        (
            vec![("other.key", "v4lue-two"), ("more", "v4lue-three")],
            "does not hold: stripe-key;",
        ),
    ] {
        let reply = host
            .get(&host.token_with_secrets(guests::NEEDS, &held), "/")
            .await;
        assert_eq!(reply.code(), "secret-missing", "{reply:?}");
        assert_eq!(reply.status, 403);
        assert!(
            !reply.text().contains("key") && !reply.text().contains("v4lue"),
            "{reply:?}"
        );
        wait_for_line(reply.request_id(), missing).await;
        // No byte of a memory: no instance was made.
        wait_for_line(reply.request_id(), " memory=0 ").await;
    }
    assert_eq!(webtask_tests::lines_of("v4lue-"), Vec::<String>::new());
    let both = [("stripe-key", "v4lue-one"), ("other.key", "v4lue-two")];
    let reply = host
        .get(&host.token_with_secrets(guests::NEEDS, &both), "/")
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (200, "other.key,stripe-key")
    );
}

/// A component whose list of needs cannot be read does not run as if it needed nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn needs_that_cannot_be_read_are_no_component() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("bad.wasm");
    let mut code = std::fs::read(guests::NEEDS).expect("the guest is built");
    code.extend(b"\0\x16\x0fwebtask:secretsa b\nc\n");
    std::fs::write(&path, code).expect("a file");
    let path = path.to_str().expect("text");
    let host = TestHost::builder()
        .code(place.path().to_str().expect("text"))
        .start()
        .await;
    let reply = host.get(&host.seal(&claims_for(path)), "/").await;
    assert_eq!(reply.code(), "component-invalid", "{reply:?}");
    wait_for_line(reply.request_id(), "webtask:secrets has a name").await;
}
