use super::{labels::TENANTS, *};

fn now() -> Now {
    Now {
        invocations: 1,
        places: 2,
        cache_entries: 3,
        cache_bytes: 4,
        spans_exported: 5,
        spans_dropped: 6,
    }
}

fn request(metrics: &Metrics, tenant: &str, code: &'static str) {
    metrics.done(&Done {
        tenant,
        code,
        took: Duration::from_millis(3),
        phases: &Phases::default(),
        spent: &Spent::default(),
        received: 7,
        sent: 8,
    });
}

#[test]
fn tenants_are_labels_up_to_a_number_and_those_of_the_configuration_first() {
    let metrics = Metrics::new(["known"]);
    for number in 0..1_000 {
        request(&metrics, &format!("t{number}"), "ok");
    }
    request(&metrics, "known", "ok");
    request(&metrics, "t0", "ok");
    let text = metrics.text(&now());
    let mut labels: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("webtask_requests_total"))
        .collect();
    labels.sort_unstable();
    assert_eq!(labels.len(), TENANTS + 1, "{labels:#?}");
    let has = |line: &str| assert!(labels.contains(&line), "{line}: {labels:#?}");
    has(r#"webtask_requests_total{tenant="known",code="ok"} 1"#);
    has(r#"webtask_requests_total{tenant="t0",code="ok"} 2"#);
    has(&format!(
        r#"webtask_requests_total{{tenant="other",code="ok"}} {}"#,
        1_000 - (TENANTS - 1)
    ));
}

/// Prints what a request costs here: `cargo test --release -p webtask-host --lib -- costs_little --nocapture`.
#[test]
fn counting_a_request_costs_little() {
    const EACH: u32 = 20_000;
    let metrics = Metrics::new([]);
    let phases = Phases::default();
    Phase::ALL.into_iter().for_each(|phase| phases.begin(phase));
    phases.end();
    let spent = Spent::default();
    let count = || {
        for _ in 0..EACH {
            metrics.done(&Done {
                tenant: "acme",
                code: "ok",
                took: Duration::from_millis(3),
                phases: &phases,
                spent: &spent,
                received: 7,
                sent: 8,
            });
        }
    };
    let each = |threads: u32| {
        let started = std::time::Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(count);
            }
        });
        started.elapsed() / EACH
    };
    let (one, four) = (each(1), each(4));
    println!("a request is counted in {one:?}; by four threads at once, {four:?} for four");
    // Far above what it is, for a build without optimisation on a busy machine.
    assert!(one < Duration::from_micros(500), "{one:?}");
}
