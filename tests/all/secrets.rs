//! Secrets: each token's own, and nobody else's.

use std::sync::Arc;

use webtask_tests::{TestHost, wait_for_line};

use super::built::guests;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_reads_the_secrets_of_its_token_and_no_others() {
    let host = TestHost::start().await;
    let token = host.token_with_secrets(guests::SECRETS, &[("hello", "world"), ("second", "2")]);
    let reply = host.get(&token, "/?get=hello,other").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let text = reply.text();
    assert!(
        text.contains("world") && text.contains("hello") && text.contains("second"),
        "{text}"
    );
    assert!(text.to_lowercase().contains("not"), "{text}");
    wait_for_line(reply.request_id(), "--secret other=VALUE").await;
    let without = host.get(&host.token(guests::SECRETS), "/?get=hello").await;
    assert!(!without.text().contains("world"), "{}", without.text());
}

/// One component, two tokens, a thousand calls of each, interleaved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tokens_for_one_component_never_mix() {
    const CALLS: usize = 1_000;
    const AT_ONCE: usize = 8;
    let host = Arc::new(TestHost::start().await);
    let tokens = ["first", "second"].map(|value| {
        (
            value,
            host.token_with_secrets(guests::SECRETS, &[("mine", value)]),
        )
    });
    let tokens = Arc::new(tokens);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..AT_ONCE {
        let (host, tokens) = (host.clone(), tokens.clone());
        callers.spawn(async move {
            for call in 0..2 * CALLS / AT_ONCE {
                let (mine, token) = &tokens[(caller + call) % 2];
                let other = if *mine == "first" { "second" } else { "first" };
                let reply = host.get(token, "/?get=mine").await;
                assert_eq!(reply.status, 200, "{reply:?}");
                assert!(
                    reply.text().contains(mine) && !reply.text().contains(other),
                    "{}",
                    reply.text()
                );
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.expect("no caller failed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_in_no_line_of_the_log() {
    let host = TestHost::start().await;
    let token = host.token_with_secrets(guests::SECRETS, &[("canary", "c4n4ry-v4lu3")]);
    let reply = host.get(&token, "/?get=canary").await;
    assert!(reply.text().contains("c4n4ry-v4lu3"));
    wait_for_line(reply.request_id(), "webtask::access").await;
    assert_eq!(
        webtask_tests::lines_of("c4n4ry-v4lu3"),
        Vec::<String>::new()
    );
    assert_eq!(webtask_tests::lines_of(&token), Vec::<String>::new());
}

/// A guest that prints its secret, by accident: the log has the secret's name where the value was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_a_guest_prints_is_masked() {
    let host = TestHost::builder()
        .limits(|limits| limits.log_bytes = 1 << 20)
        .start()
        .await;
    let token = host.token_with_secrets(guests::SECRETS, &[("canary", "m4sk3d-v4lu3")]);
    let reply = host.get(&token, "/?get=canary&print").await;
    assert_eq!(reply.code(), "guest-trap", "{reply:?}");
    for said in ["logged", "printed", "gave up with"] {
        wait_for_line(reply.request_id(), &format!("{said} [secret canary]")).await;
    }
    // No half of it either, on either side of the cut of a line.
    let lines = webtask_tests::lines_of(reply.request_id());
    assert!(lines.iter().any(|line| line.contains("-[secret canary]")));
    for part in ["m4sk3d", "v4lu3"] {
        let leaks: Vec<_> = lines.iter().filter(|line| line.contains(part)).collect();
        assert!(leaks.is_empty(), "{part}: {leaks:?}");
    }
}

/// A denied path that holds a secret, as it is and percent-encoded, also where the line is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_denied_url_is_masked() {
    let host = TestHost::start().await;
    let token = host.token_with_secrets(guests::OUTBOUND, &[("canary", "m4sk3d/url+v4lu3")]);
    let before = "x".repeat(256 - "m4sk3d".len());
    for path in [
        "m4sk3d/url+v4lu3",
        "m4sk3d%2furl%2Bv4lu3",
        "%6d4sk3d%2Furl+v4lu3",
        &format!("{before}m4sk3d/url+v4lu3"),
        &format!("{before}m4sk3d%2Furl%2Bv4lu3"),
    ] {
        let asked = format!("/?method=GET&url=https://not-granted.test/{path}");
        let reply = host.get(&token, &asked).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        wait_for_line(reply.request_id(), "no grant for GET").await;
        wait_for_line(reply.request_id(), "webtask::access").await;
        let lines = webtask_tests::lines_of(reply.request_id()).concat();
        // At least the beginning of its name: the cut comes after it.
        assert!(lines.contains("[secr"), "{lines}");
        for part in ["4sk3d", "v4lu3"] {
            assert!(!lines.contains(part), "{part}: {lines}");
        }
    }
}
