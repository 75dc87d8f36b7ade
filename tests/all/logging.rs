//! What a guest writes to its standard output, however it writes it.

use webtask_tests::{Reply, TestHost, lines_of, wait_for_line};

use super::built::guests;

/// The guest `stdout` on a host with room for so many bytes and lines of log, once its run is over.
async fn written(bytes: u64, lines: u64, how: &str) -> (Reply, Vec<String>) {
    let host = TestHost::builder()
        .limits(|limits| (limits.log_bytes, limits.log_lines) = (bytes, lines))
        .start()
        .await;
    let reply = host.get(&host.token(guests::STDOUT), how).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert!(record.contains("code=\"ok\""), "{record}");
    let of_guest = lines_of(reply.request_id()).into_iter();
    let of_guest = of_guest.filter(|line| line.contains("webtask::guest"));
    (reply, of_guest.collect())
}

fn filled(lines: &[String]) -> usize {
    lines.iter().map(|line| line.matches('~').count()).sum()
}

/// One write takes many turns of the host, and nothing of it is lost between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_at_once_is_recorded_whole() {
    let (_, lines) = written(1 << 20, 2_000, "/?lines=500&size=200").await;
    assert_eq!(lines.len(), 500);
    for (number, line) in lines.iter().enumerate() {
        let text = format!("{:~<200}", format!("line {number:06} "));
        assert!(line.contains(&format!("\"{text}\"")), "{number}: {line}");
    }
    // A line too long for a record goes on in the next one.
    let (_, lines) = written(4 << 20, 2_000, "/?lines=1&size=1000012").await;
    assert_eq!(filled(&lines), 1_000_000, "{} lines", lines.len());
    assert!(lines.len() > 100, "{} lines", lines.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_at_once_is_bounded() {
    for how in ["/?lines=1&size=4000000", "/?lines=40000&size=100"] {
        let (_, lines) = written(64 << 10, 1_000, how).await;
        assert!(filled(&lines) <= 64 << 10, "{how}: {}", filled(&lines));
        assert!(filled(&lines) > 32 << 10, "{how}: {}", filled(&lines));
        let cuts = lines.iter().filter(|line| line.contains("log cut"));
        assert_eq!(cuts.count(), 1, "{how}");
    }
}
