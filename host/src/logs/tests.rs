//! What is kept, who is told, and what is said of the rest.
#![expect(clippy::indexing_slicing, reason = "a test may fail there")]

use webtask_token::LinkId;

use super::{reader::Entry, *};

fn logs(change: impl FnOnce(&mut Limits)) -> Logs {
    let mut limits = Limits::default();
    change(&mut limits);
    Logs::new("0123abcd", &limits)
}

fn link(n: u8) -> LinkId {
    LinkId::from([n; 16])
}

fn about(tenant: &str, links: &[u8], iss: &[u8]) -> Arc<About> {
    let all = |links: &[u8]| links.iter().copied().map(link).collect();
    Arc::new(About {
        request_id: "0123abcd-000001".into(),
        token_id: "t".into(),
        tenant: tenant.into(),
        links: all(links),
        iss: all(iss),
    })
}

fn say(logs: &Logs, about: &Arc<About>, level: Level, text: &str) {
    let (context, text) = ("stdout".to_owned(), text.to_owned());
    logs.write(about, level, What::Said { context, text });
}

fn all() -> Filter {
    Filter::new(Scope::Tenant, Level::Trace, "")
}

/// What waits for a reader: texts, and gaps as `(number, because)`; and the id of the last line.
fn read(reader: &Reader) -> (Vec<String>, String) {
    let (mut read, mut id) = (Vec::new(), String::new());
    while let Some(entry) = reader.next() {
        match entry {
            Entry::Dropped(count, because) => read.push(format!("{count:?} {because:?}")),
            Entry::Line(line) => {
                let data: serde_json::Value =
                    serde_json::from_str(&line.json()).unwrap_or_default();
                read.push(data["message"].as_str().unwrap_or("no text").to_owned());
                id = reader.id(&line);
            }
        }
    }
    (read, id)
}

fn history(logs: &Logs, tenant: &str) -> Vec<String> {
    read(&logs.read(&tenant.into(), all(), None)).0
}

#[test]
fn a_history_is_bounded_in_lines_and_bytes() {
    let few = logs(|limits| limits.log_history_lines = 3);
    let of = about("a", &[1], &[]);
    for n in 0..10 {
        say(&few, &of, Level::Info, &n.to_string());
    }
    assert_eq!(history(&few, "a"), ["7", "8", "9"]);
    let small = logs(|limits| limits.log_history = 4_096);
    for n in 0..100 {
        say(&small, &of, Level::Info, &format!("{n:0>1000}"));
    }
    let kept = history(&small, "a");
    assert!((2..=3).contains(&kept.len()), "{}", kept.len());
    assert!(kept.last().is_some_and(|last| last.ends_with("99")));
    let total = small.shared.total.load(Ordering::Relaxed);
    assert!((2_000..=4_096).contains(&total), "{total}");
    // What is larger than all that may be kept goes to readers alone.
    let reader = small.read(&"a".into(), all(), None);
    say(&small, &of, Level::Info, &"x".repeat(5_000));
    assert_eq!(read(&reader).0.last().map(String::len), Some(5_000));
    assert!(history(&small, "a").is_empty());
    assert_eq!(small.shared.total.load(Ordering::Relaxed), 0);
}

#[test]
fn all_histories_together_are_bounded_and_those_of_no_use_go_first() {
    let logs = logs(|limits| (limits.log_history, limits.log_history_total) = (4_000, 20_000));
    for n in 0..40 {
        let of = about(&format!("tenant-{n}"), &[1], &[]);
        for _ in 0..3 {
            say(&logs, &of, Level::Info, &"x".repeat(700));
            let total = logs.shared.total.load(Ordering::Relaxed);
            assert!(total <= 20_000, "{total}");
        }
    }
    // Without a runtime nobody makes room, and what comes last finds none.
    assert!(history(&logs, "tenant-39").is_empty());
    assert_eq!(history(&logs, "tenant-0").len(), 3);
    logs.shared.forget_oldest();
    assert!(logs.shared.total.load(Ordering::Relaxed) <= 15_000);
    assert!(
        history(&logs, "tenant-0").is_empty(),
        "the oldest goes first"
    );
    say(
        &logs,
        &about("tenant-39", &[1], &[]),
        Level::Info,
        "there is room",
    );
    assert_eq!(history(&logs, "tenant-39"), ["there is room"]);
}

#[tokio::test]
async fn room_is_made_before_there_is_none() {
    let logs = logs(|limits| (limits.log_history, limits.log_history_total) = (4_000, 20_000));
    for n in 0..200 {
        let name = format!("tenant-{n}");
        say(
            &logs,
            &about(&name, &[1], &[]),
            Level::Info,
            &"x".repeat(700),
        );
        let high = 20_000 / 8 * 7;
        while logs.shared.total.load(Ordering::Relaxed) > high {
            tokio::task::yield_now().await;
        }
        assert_eq!(history(&logs, &name).len(), 1, "{name}");
    }
}

#[test]
fn a_reader_sees_what_its_token_may_and_nothing_else() {
    let logs = logs(|_| ());
    // Links 1, 2 and 3 are of one chain; 4 is another token, minted with the issuer 9, whose narrower one is 8.
    for (tenant, links, iss, text) in [
        ("a", &[1][..], &[][..], "root"),
        ("a", &[1, 2], &[], "narrowed"),
        ("a", &[1, 2, 3], &[], "twice narrowed"),
        ("a", &[1, 5], &[], "its sister"),
        ("a", &[4], &[9], "minted"),
        ("a", &[6], &[9, 8], "minted by a narrower issuer"),
        ("b", &[1], &[9], "another tenant's"),
    ] {
        say(&logs, &about(tenant, links, iss), Level::Info, text);
    }
    let seen = |scope| {
        let filter = Filter::new(scope, Level::Trace, "");
        read(&logs.read(&"a".into(), filter, None)).0
    };
    assert_eq!(
        seen(Scope::Link(link(1))),
        ["root", "narrowed", "twice narrowed", "its sister"]
    );
    assert_eq!(seen(Scope::Link(link(2))), ["narrowed", "twice narrowed"]);
    assert_eq!(seen(Scope::Link(link(3))), ["twice narrowed"]);
    assert_eq!(
        seen(Scope::Issuer(link(9))),
        ["minted", "minted by a narrower issuer"]
    );
    assert_eq!(
        seen(Scope::Issuer(link(8))),
        ["minted by a narrower issuer"]
    );
    assert_eq!(seen(Scope::Issuer(link(1))), [""; 0]);
    assert_eq!(seen(Scope::Tenant).len(), 6);
    // The same of lines to come.
    let reader = logs.read(
        &"a".into(),
        Filter::new(Scope::Link(link(4)), Level::Warn, "odd"),
        None,
    );
    for (links, level, text) in [
        (&[4][..], Level::Warn, "odd"),
        (&[4], Level::Info, "odd but not worth it"),
        (&[4], Level::Error, "nothing of it"),
        (&[1], Level::Error, "odd, and of another token"),
    ] {
        say(&logs, &about("a", links, &[]), level, text);
    }
    say(
        &logs,
        &about("b", &[4], &[]),
        Level::Error,
        "odd, and another tenant's",
    );
    assert_eq!(read(&reader).0, ["odd"]);
}

#[test]
fn a_slow_reader_is_told_how_many_lines_it_lost_and_where() {
    let logs = logs(|limits| limits.log_history_lines = 1);
    let (mine, other) = (about("a", &[1], &[]), about("a", &[2], &[]));
    let reader = logs.read(
        &"a".into(),
        Filter::new(Scope::Link(link(1)), Level::Trace, ""),
        None,
    );
    for n in 0..1_500 {
        say(&logs, &mine, Level::Info, &n.to_string());
        say(&logs, &other, Level::Info, "not its own");
    }
    let (first, _) = read(&reader);
    let lost = 1_500 - (first.len() as u64 - 1);
    assert_eq!(first.last(), Some(&format!("{:?} SlowReader", Some(lost))));
    assert!(
        first[..first.len() - 1]
            .iter()
            .enumerate()
            .all(|(n, text)| *text == n.to_string())
    );
    say(&logs, &mine, Level::Info, "after");
    assert_eq!(read(&reader).0, ["after"]);
    // In bytes as well; and nothing is held for a reader that is gone.
    let text = "x".repeat(8_000);
    for _ in 0..100 {
        say(&logs, &mine, Level::Info, &text);
    }
    let waits = reader
        .next()
        .into_iter()
        .chain(std::iter::from_fn(|| reader.next()));
    let lines = waits
        .filter(|entry| matches!(entry, Entry::Line(_)))
        .count();
    assert!((10..=16).contains(&lines), "{lines}");
    let log = logs
        .shared
        .of(&"a".into())
        .map(|log| Arc::strong_count(&log));
    drop(reader);
    let after = logs
        .shared
        .of(&"a".into())
        .map(|log| Arc::strong_count(&log));
    assert_eq!((log, after), (Some(3), Some(2)));
}

#[test]
fn who_comes_back_goes_on_where_he_was_and_is_told_what_is_missing() {
    let logs = logs(|limits| limits.log_history_lines = 5);
    let of = about("a", &[1], &[]);
    let tenant: Arc<str> = "a".into();
    let back = |filter, id: &str| {
        let position = Some(id.parse().unwrap_or_default());
        read(&logs.read(&tenant, filter, position)).0
    };
    for n in 0..3 {
        say(&logs, &of, Level::Info, &n.to_string());
    }
    let (_, id) = read(&logs.read(&tenant, all(), None));
    assert_eq!(back(all(), &id), [""; 0], "nothing happened");
    say(&logs, &of, Level::Info, "3");
    assert_eq!(back(all(), &id), ["3"]);
    for n in 4..10 {
        say(&logs, &of, Level::Info, &n.to_string());
    }
    assert_eq!(
        back(all(), &id),
        ["Some(2) History", "5", "6", "7", "8", "9"]
    );
    // Of lines that are not its own a reader is not told how many there were.
    let own = || Filter::new(Scope::Link(link(1)), Level::Trace, "");
    assert_eq!(back(own(), &id)[..2], ["None History", "5"]);
    // Another process, what is no id, and one of lines that never were.
    let restarted = id.replace("0123abcd", "ffffffff");
    for other in [&restarted, "", "nonsense", "0123abcd-", "0123abcd-zz"] {
        assert_eq!(back(all(), other)[..2], ["None Restart", "5"], "{other}");
    }
    assert_eq!(back(all(), "0123abcd-ffffffff")[..2], ["None History", "5"]);
}

#[tokio::test(start_paused = true)]
async fn the_memory_of_idle_tenants_is_given_back() {
    let logs = logs(|_| ());
    let (idle, read_by) = (about("idle", &[1], &[]), about("read", &[1], &[]));
    say(&logs, &idle, Level::Info, "x");
    say(&logs, &read_by, Level::Info, "x");
    let reader = logs.read(&read_by.tenant, all(), None);
    let (_, id) = read(&logs.read(&idle.tenant, all(), None));
    let tenants = || {
        logs.shared
            .shards
            .iter()
            .map(|shard| lock(shard).len())
            .sum::<usize>()
    };
    assert_eq!(tenants(), 2);
    tokio::time::sleep(IDLE + SWEEP * 2).await;
    assert_eq!(tenants(), 1, "one has a reader");
    drop(reader);
    tokio::time::sleep(SWEEP * 2).await;
    assert_eq!(
        (tenants(), logs.shared.total.load(Ordering::Relaxed)),
        (0, 0)
    );
    assert!(
        !logs.shared.watched.load(Ordering::Relaxed),
        "nobody looks any more"
    );
    // Whoever comes back is told that there is a gap, and not of how many.
    say(&logs, &idle, Level::Info, "later");
    let back = logs.read(&idle.tenant, all(), Some(id.parse().unwrap_or_default()));
    assert_eq!(read(&back).0, ["None History", "later"]);
}

/// What a request pays where nobody reads: some allocations and two locks. The number is printed; the bound is for a
/// machine that does many other things, and for code without optimisation.
#[test]
fn a_line_that_nobody_reads_costs_little() {
    const LINES: u32 = 20_000;
    let logs = logs(|_| ());
    let write = |tenant: &str| {
        let of = about(tenant, &[1], &[]);
        let begun = std::time::Instant::now();
        for _ in 0..LINES {
            say(&logs, &of, Level::Info, "charging order 7 of customer 42");
        }
        begun.elapsed() / LINES
    };
    let alone = write("alone");
    let beside = std::thread::scope(|threads| {
        let others = ["a", "b"].map(|tenant| threads.spawn(|| write(tenant)));
        others.map(|other| other.join().unwrap_or_default())
    });
    println!("a line takes {alone:?}, beside another tenant {beside:?}");
    assert!(alone < Duration::from_millis(1), "{alone:?}");
}
