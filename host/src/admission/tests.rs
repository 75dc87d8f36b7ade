//! Who gets a place, who waits, and who is told to come again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn asking(tenant: &str, tenant_most: u32, root: u8, root_most: u32) -> Asking {
    Asking {
        tenant: tenant.into(),
        tenant_most,
        root: LinkId::from([root; 16]),
        root_most,
    }
}

fn refused(taken: Result<Place, Refused>) -> Refused {
    taken.map(|_| ()).unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_tenant_and_a_token_have_no_more_than_their_share() {
    let places = Places::new(10, 4, LONG, AtBound::Refuse);
    let (a1, a2) = (asking("a", 3, 1, 2), asking("a", 3, 2, 2));
    let mut held = vec![
        places.take(&a1).await.unwrap(),
        places.take(&a1).await.unwrap(),
    ];
    assert_eq!(refused(places.take(&a1).await), Refused::Token);
    held.push(places.take(&a2).await.unwrap());
    assert_eq!(refused(places.take(&a2).await), Refused::Tenant);
    // Another tenant has its own.
    held.push(places.take(&asking("b", 3, 3, 2)).await.unwrap());
    drop(held);
    let state = places.state();
    assert!(state.taken == 0 && state.tenants.is_empty() && state.roots.is_empty());
    assert!(state.waiting.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_bounded_in_number_and_time() {
    let places = Places::new(1, 2, LONG, AtBound::Refuse);
    let a = asking("a", 10, 1, 10);
    let held = places.take(&a).await.unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (places, a) = (places.clone(), a.clone());
            tokio::spawn(async move { places.take(&a).await })
        })
        .collect();
    while places.state().waiting.get("a").map_or(0, VecDeque::len) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(refused(places.take(&a).await), Refused::Overloaded);
    let started = tokio::time::Instant::now();
    for waits in waiting {
        assert_eq!(refused(waits.await.unwrap()), Refused::Overloaded);
    }
    assert_eq!(started.elapsed(), LONG);
    assert!(places.state().waiting.is_empty());
    // Without a queue nobody waits.
    drop(held);
    let places = Places::new(0, 0, LONG, AtBound::Refuse);
    assert_eq!(refused(places.take(&a).await), Refused::Overloaded);
    assert!(places.state().waiting.is_empty());
}

/// Takes a place, says who got it, and holds it until told.
fn wait(
    places: &Arc<Places>,
    asking: Asking,
    got: &tokio::sync::mpsc::UnboundedSender<(Arc<str>, Place)>,
) -> tokio::task::JoinHandle<()> {
    let (places, got) = (places.clone(), got.clone());
    tokio::spawn(async move {
        if let Ok(place) = places.take(&asking).await {
            got.send((asking.tenant, place)).unwrap();
        }
    })
}

async fn until_waiting(places: &Places, wanted: usize) {
    while places
        .state()
        .waiting
        .values()
        .map(VecDeque::len)
        .sum::<usize>()
        != wanted
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_free_place_goes_to_the_waiting_tenant_that_has_the_fewest() {
    let places = Places::new(4, 10, LONG, AtBound::Refuse);
    let (greedy, polite) = (asking("greedy", 10, 1, 10), asking("polite", 10, 2, 10));
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(places.take(&greedy).await.unwrap());
    }
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    // The greedy ones come first.
    for _ in 0..5 {
        wait(&places, greedy.clone(), &tell);
    }
    until_waiting(&places, 5).await;
    for _ in 0..2 {
        wait(&places, polite.clone(), &tell);
    }
    until_waiting(&places, 7).await;
    let mut order = Vec::new();
    let mut running = Vec::new();
    for place in held {
        drop(place);
        let (tenant, place) = told.recv().await.unwrap();
        order.push(tenant.to_string());
        running.push(place);
    }
    assert_eq!(order, ["polite", "polite", "greedy", "greedy"]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_at_its_own_bound_holds_up_nobody() {
    let places = Places::new(2, 10, LONG, AtBound::Wait);
    let (a, b) = (asking("a", 1, 1, 1), asking("b", 1, 2, 1));
    let held = places.take(&a).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    wait(&places, a.clone(), &tell);
    until_waiting(&places, 1).await;
    // A place is free, and not for `a`.
    let of_b = places.take(&b).await.unwrap();
    drop(of_b);
    assert!(told.try_recv().is_err());
    drop(held);
    assert_eq!(&*told.recv().await.unwrap().0, "a");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_takes_nothing_along() {
    let places = Places::new(1, 10, LONG, AtBound::Refuse);
    let a = asking("a", 10, 1, 10);
    let held = places.take(&a).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let leaves = wait(&places, a.clone(), &tell);
    until_waiting(&places, 1).await;
    wait(&places, a.clone(), &tell);
    until_waiting(&places, 2).await;
    leaves.abort();
    until_waiting(&places, 1).await;
    drop(held);
    let (_, place) = told.recv().await.unwrap();
    assert_eq!(places.state().taken, 1);
    let idle = tokio::spawn({
        let places = places.clone();
        async move { places.idle().await }
    });
    tokio::task::yield_now().await;
    assert!(!idle.is_finished());
    drop(place);
    idle.await.unwrap();
}

/// Prints what a place costs that nobody contends for: `cargo test --release -p webtask-host --lib -- --nocapture cost_of`.
#[tokio::test]
async fn the_cost_of_a_free_place_is_small() {
    let places = Places::new(500, 64, LONG, AtBound::Refuse);
    let a = asking("a", 250, 1, 125);
    let _other = places.take(&a).await.unwrap();
    let rounds = 100_000;
    let started = Instant::now();
    for _ in 0..rounds {
        drop(places.take(&a).await.unwrap());
    }
    let each = started.elapsed().as_nanos() / rounds;
    println!("to take a place and to give it back: {each} ns");
    // A debug build on a busy machine is slow; a lock that is held, or a task, is far slower.
    assert!(each < 50_000, "{each} ns");
}
