//! Makes `?n=` things to wait for and keeps them all: pollables in WASI 0.2, streams in 0.3; with `&way=timers` timers in both.
//! With `&way=poll` it asks for one thing `n` times in one list, which only 0.2 has.
use webtask::{Error, Request, Response};
use webtask_test_guests::{number, query};

#[cfg(not(feature = "p3"))]
async fn wait(n: u64, way: Option<&str>) -> usize {
    use webtask_test_guests::wasi::{clocks::monotonic_clock::subscribe_duration, io::poll::poll};
    if way == Some("poll") {
        let now = subscribe_duration(0);
        return poll(&(0..n).map(|_| &now).collect::<Vec<_>>()).len();
    }
    let kept: Vec<_> = (0..n).map(|_| subscribe_duration(1 << 60)).collect();
    kept.len()
}

#[cfg(feature = "p3")]
async fn wait(n: u64, way: Option<&str>) -> usize {
    use std::{future::poll_fn, task::Poll};
    use webtask::__bindings::wit_stream;
    use webtask_test_guests::wasi::clocks::monotonic_clock::wait_for;
    if way == Some("timers") {
        let mut kept: Vec<_> = (0..n).map(|_| Box::pin(wait_for(1 << 60))).collect();
        let begin = |cx: &mut std::task::Context<'_>| {
            let mut begun = 0;
            for timer in &mut kept {
                begun += usize::from(timer.as_mut().poll(cx).is_pending());
            }
            Poll::Ready(begun)
        };
        return poll_fn(begin).await;
    }
    let kept: Vec<_> = (0..n).map(|_| wit_stream::new::<u8>()).collect();
    kept.len()
}

#[webtask::main]
async fn main(request: Request) -> Result<Response, Error> {
    let asked = request.uri().path_and_query();
    let way = asked.and_then(|asked| query(asked.as_str(), "way"));
    let kept = wait(number(&request, "n", 1_000_000), way).await;
    Ok(webtask::text(kept.to_string()))
}
