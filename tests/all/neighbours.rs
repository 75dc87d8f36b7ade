//! Fair shares of the processor: what hostile guests of one tenant cost the others.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use webtask_tests::{SOON, TestHost, claims_for, examples, guests, wait_for_line};

/// Spinning guests of one tenant.
const SPINNERS: usize = 64;
/// Requests of the polite tenant, one after the other.
const POLITE: usize = 200;

/// A token of `tenant`.
fn token_of(host: &TestHost, tenant: &str, wasm: &str) -> String {
    let mut claims = claims_for(wasm);
    claims.tenant = tenant.to_owned();
    host.seal(&claims)
}

/// A host on which `greedy` has places for its spinning guests and no more.
async fn host() -> Arc<TestHost> {
    let builder = TestHost::builder()
        .limits(|limits| {
            limits.invocations = 2 * SPINNERS as u32;
            limits.cpu = SOON * 4;
            limits.wall = SOON * 4;
        })
        .tenants(&format!("[tenants.greedy]\ninvocations = {SPINNERS}\n"));
    Arc::new(builder.start().await)
}

/// Starts guests of `greedy` that spin until this is dropped, and waits until all of them run.
async fn spinning(host: &Arc<TestHost>) -> JoinSet<()> {
    let token = token_of(host, "greedy", guests::SPIN);
    let mut spinning = JoinSet::new();
    for _ in 0..SPINNERS {
        let (host, token) = (host.clone(), token.clone());
        spinning.spawn(async move {
            host.get(&token, "").await;
        });
    }
    until_begun(host).await;
    spinning
}

/// The tenant has all of its places when there is none for another request.
async fn until_begun(host: &TestHost) {
    let another = token_of(host, "greedy", examples::HELLO);
    loop {
        let reply = host.get(&another, "").await;
        if reply.status != 200 {
            assert_eq!(reply.code(), "tenant-busy");
            return;
        }
    }
}

/// The median and the 99th percentile of the polite tenant's requests.
async fn polite(host: &TestHost, token: &str) -> (Duration, Duration) {
    let mut took = Vec::new();
    for _ in 0..POLITE {
        let started = Instant::now();
        assert_eq!(host.get(token, "").await.status, 200);
        took.push(started.elapsed());
    }
    took.sort();
    (took[POLITE / 2], took[POLITE * 99 / 100])
}

/// A spinning guest yields at each tick, and leaves the workers of requests at once. Without the heavy lane
/// each request waits for a tick of every spinner: the median is a hundred times as long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polite_tenant_hardly_notices_spinning_neighbours() {
    let host = host().await;
    let token = token_of(&host, "polite", examples::HELLO);
    polite(&host, &token).await;
    let alone = polite(&host, &token).await;
    let _spinning = spinning(&host).await;
    let beside = polite(&host, &token).await;
    println!("median and p99 alone {alone:?}, beside {SPINNERS} spinning guests {beside:?}");
    // Generous: the machine may be full of other tests, and this is a debug build.
    assert!(
        beside.0 < alone.0 * 10 + Duration::from_millis(10),
        "median {:?} beside, {:?} alone",
        beside.0,
        alone.0
    );
    assert!(
        beside.1 < alone.1 * 10 + Duration::from_millis(100),
        "p99 {:?} beside, {:?} alone",
        beside.1,
        alone.1
    );
}

/// On the lane tenants take turns, not guests: one long run is over before those of the greedy tenant, which
/// began earlier, have as much each. Turn by turn among all guests, most of them would be over before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_run_is_not_starved_by_many_of_another_tenant() {
    let host = host().await;
    let run = async |tenant: &str| {
        let token = token_of(&host, tenant, guests::WORK);
        let reply = host.get(&token, "/?n=200").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        cpu_of(&reply).await
    };
    let cpu = run("polite").await;
    assert!(
        cpu > Duration::from_millis(50),
        "too short to tell: {cpu:?}"
    );
    let mut greedy = JoinSet::new();
    for _ in 0..SPINNERS {
        let (host, token) = (host.clone(), token_of(&host, "greedy", guests::WORK));
        greedy.spawn(async move { host.get(&token, "/?n=200").await.status });
    }
    until_begun(&host).await;
    run("polite").await;
    let mut over = 0;
    while greedy.try_join_next().is_some() {
        over += 1;
    }
    println!("{over} of {SPINNERS} greedy runs were over when the polite one was");
    assert!(over < SPINNERS / 4, "{over} runs were over before");
}

/// CPU time as the access record has it.
async fn cpu_of(reply: &webtask_tests::Reply) -> Duration {
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    let (_, rest) = record.split_once("cpu_us").expect("a record has it");
    let digits: String = rest
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    Duration::from_micros(digits.parse().expect("a number"))
}

/// Limits of time hold on the lane, while others are before it in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlines_hold_for_runs_that_wait_for_their_turn() {
    let host = host().await;
    let mut claims = claims_for(guests::SPIN);
    claims.tenant = "polite".to_owned();
    let _spinning = spinning(&host).await;
    claims.lim.wall_ms = Some(1_000);
    let reply = host.get(&host.seal(&claims), "").await;
    assert_eq!(reply.code(), "guest-deadline");
    assert!(reply.took < SOON, "{:?}", reply.took);
    assert!(cpu_of(&reply).await < Duration::from_millis(1_000));

    claims.lim.wall_ms = None;
    claims.lim.cpu_ms = Some(50);
    let reply = host.get(&host.seal(&claims), "").await;
    assert_eq!(reply.code(), "guest-cpu");
    let cpu = cpu_of(&reply).await;
    assert!(
        (Duration::from_millis(50)..Duration::from_millis(500)).contains(&cpu),
        "{cpu:?}"
    );
}
