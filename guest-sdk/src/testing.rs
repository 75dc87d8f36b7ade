//! Runs handlers on the author's machine, under plain `cargo test`: with fake secrets, fake parameters and a fake origin,
//! and without a runtime or WebAssembly.
//!
//! ```
//! use webtask::{Error, Request, Response, secrets};
//!
//! # /*
//! #[webtask::main]
//! # */
//! async fn weather(_: Request) -> Result<Response, Error> {
//!     let weather = webtask::get("https://weather.example/berlin").await?;
//!     let name = secrets::get("name")?;
//!     Ok(webtask::text(format!("{name}, it is {}", weather.into_body().text().await?)))
//! }
//!
//! # /*
//! #[cfg(test)]
//! mod tests {
//!     use super::*;
//! # */
//!     use webtask::testing::World;
//!
//! # /*
//!     #[webtask::test]
//! # */
//!     async fn it_tells_the_weather() {
//!         let world = World::new()
//!             .secret("name", "Ada")
//!             .origin(async |_| Ok(webtask::text("sunny")));
//!         let response = world.call(weather, Request::new(())).await;
//!         assert_eq!(response.into_body().text().await.unwrap(), "Ada, it is sunny");
//!         assert_eq!(world.sent()[0].uri.host(), Some("weather.example"));
//!     }
//! # /*
//! }
//! # */
//! # webtask::testing::block_on(it_tells_the_weather());
//! ```
//!
//! A handler that is called `main` is `super::main` in tests. Nothing here checks what a token grants:
//! the origin is asked whatever the URL is, and a bound secret is in no header. For that run the component in
//! `webtask serve`.
//!
//! Time is not waited for. When everything waits, the clock moves on to whatever is next, so a test of a limit of an hour
//! takes no hour. Futures that others wake, such as those of tokio, do not work here.
//!
//! Not there in a component: nothing of this module is in what you deploy.
use crate::body::{Pending, Pieces};
use crate::{Body, Error, Request, Response, SendError, executor, serve};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub(crate) mod host;

/// What a webtask has around it: what its token would give, and the servers it would reach.
///
/// Made as an expression, then [called](World::call) as often as needed.
#[derive(Clone)]
pub struct World(Rc<State>);

#[derive(Clone)]
struct State {
    /// A bound secret has no value here.
    secrets: BTreeMap<String, Option<String>>,
    params: BTreeMap<String, String>,
    tenant: String,
    token_id: String,
    request_id: String,
    wall: Duration,
    origin: Option<Origin>,
    sent: Rc<RefCell<Vec<Sent>>>,
    logs: Rc<RefCell<Vec<String>>>,
}

type Origin = Rc<dyn Fn(Request) -> Pending<'static, Result<Response, SendError>>>;

/// A request that a webtask sent.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sent {
    /// Its method.
    pub method: Method,
    /// Its whole URL.
    pub uri: Uri,
    /// Its header fields, as the webtask set them.
    pub headers: HeaderMap,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A token of the tenant `default` that holds and grants nothing.
    pub fn new() -> Self {
        Self(Rc::new(State {
            secrets: BTreeMap::new(),
            params: BTreeMap::new(),
            tenant: "default".to_owned(),
            token_id: "0".repeat(32),
            request_id: "0".repeat(32),
            wall: Duration::from_secs(10),
            origin: None,
            sent: Rc::default(),
            logs: Rc::default(),
        }))
    }

    fn set(mut self, change: impl FnOnce(&mut State)) -> Self {
        change(Rc::make_mut(&mut self.0));
        self
    }

    /// Adds a readable secret.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.set(|state| {
            drop(
                state
                    .secrets
                    .insert(name.to_owned(), Some(value.to_owned())),
            )
        })
    }

    /// Adds a bound secret, which the webtask learns the name of and no more.
    #[must_use]
    pub fn bound(self, name: &str) -> Self {
        self.set(|state| drop(state.secrets.insert(name.to_owned(), None)))
    }

    /// Adds a parameter.
    #[must_use]
    pub fn param(self, name: &str, value: &str) -> Self {
        self.set(|state| drop(state.params.insert(name.to_owned(), value.to_owned())))
    }

    /// Sets the tenant.
    #[must_use]
    pub fn tenant(self, tenant: &str) -> Self {
        self.set(|state| tenant.clone_into(&mut state.tenant))
    }

    /// Sets what [`invocation::token_id`](crate::invocation::token_id) says; zeros otherwise.
    #[must_use]
    pub fn token_id(self, id: &str) -> Self {
        self.set(|state| id.clone_into(&mut state.token_id))
    }

    /// Sets what [`invocation::request_id`](crate::invocation::request_id) says; zeros otherwise.
    #[must_use]
    pub fn request_id(self, id: &str) -> Self {
        self.set(|state| id.clone_into(&mut state.request_id))
    }

    /// Sets how much time each call has, as [`invocation::remaining`](crate::invocation::remaining) counts it down;
    /// ten seconds otherwise. Nothing ends a call that takes longer.
    #[must_use]
    pub fn wall(self, wall: Duration) -> Self {
        self.set(|state| state.wall = wall)
    }

    /// Sets what answers outbound requests: one function for all servers. What never returns keeps the webtask waiting,
    /// and an [`ErrorKind`](crate::ErrorKind) with `into()` is the error of one that cannot be reached. Without one, every request is
    /// refused with [`ErrorKind::Denied`](crate::ErrorKind::Denied), as by a token that grants none.
    #[must_use]
    pub fn origin<F>(self, answer: F) -> Self
    where
        F: AsyncFn(Request) -> Result<Response, SendError> + 'static,
    {
        let answer = Rc::new(answer);
        let origin: Origin = Rc::new(move |request| {
            let answer = Rc::clone(&answer);
            Box::pin(async move { answer(request).await })
        });
        self.set(|state| state.origin = Some(origin))
    }

    /// Calls a handler as the host would: an error becomes a response, and its cause a line of the log.
    pub async fn call<F, R, E>(&self, handler: F, request: impl Into<Request>) -> Response
    where
        F: AsyncFnOnce(Request) -> Result<R, E>,
        R: Into<Response>,
        E: Into<Error>,
    {
        let inside = Inside::new(&self.0);
        let answer = serve::answer(request.into(), handler);
        let response = Within(Some(inside.clone()), pin!(answer)).await;
        response.map(|body| Given::wrap(body, Some(inside), false))
    }

    /// Runs anything with this world around it, as a function that reads a secret.
    pub async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        Within(Some(Inside::new(&self.0)), pin!(future)).await
    }

    /// The requests that were sent, refused ones included, first to last.
    pub fn sent(&self) -> Vec<Sent> {
        self.0.sent.borrow().clone()
    }

    /// The lines of the log, first to last: level, module, text. The test's output has them, too.
    pub fn logs(&self) -> Vec<String> {
        self.0.logs.borrow().clone()
    }
}

/// Without the values of the secrets.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("secrets", &self.0.secrets.keys())
            .field("params", &self.0.params)
            .finish_non_exhaustive()
    }
}

/// One call in a world, which began at a time of the clock.
#[derive(Clone)]
struct Inside {
    state: Rc<State>,
    began: u64,
}

thread_local! {
    static INSIDE: RefCell<Option<Inside>> = const { RefCell::new(None) };
    static NOW: Cell<u64> = const { Cell::new(0) };
    static TIMERS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

impl Inside {
    fn new(state: &Rc<State>) -> Self {
        Self {
            state: Rc::clone(state),
            began: NOW.get(),
        }
    }
}

/// A future that is polled inside of a call.
struct Within<'a, T>(Option<Inside>, Pin<&'a mut T>);

impl<T: Future> Future for Within<'_, T> {
    type Output = T::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let outside = INSIDE.replace(self.0.clone());
        let polled = self.1.as_mut().poll(cx);
        INSIDE.set(outside);
        polled
    }
}

/// A future that stays inside of the call that it is made in.
pub(crate) fn stay<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let inside = INSIDE.with_borrow(Clone::clone);
    async move { Within(inside, pin!(future)).await }
}

/// A body that is read inside of the call that made it, or is that of a response to the webtask.
struct Given {
    body: Body,
    inside: Option<Inside>,
    response: bool,
}

impl Given {
    fn wrap(body: Body, inside: Option<Inside>, response: bool) -> Body {
        Body::pieces(Self {
            body,
            inside,
            response,
        })
    }
}

impl Pieces for Given {
    fn len(&self) -> Option<u64> {
        self.body.len()
    }

    fn is_response(&self) -> bool {
        self.response || self.body.is_response()
    }

    fn chunk(&mut self) -> Pending<'_, Result<Option<Bytes>, Error>> {
        let inside = self.inside.clone();
        Box::pin(async { Within(inside, pin!(self.body.chunk())).await })
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `root`, and beside it whatever it spawns. What `#[webtask::test]` makes of an `async` test.
///
/// # Panics
/// If everything waits for something that never happens: a test must not hang.
pub fn block_on<T>(root: impl Future<Output = T>) -> T {
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut root = pin!(root);
    loop {
        woken.0.store(false, Relaxed);
        if let Poll::Ready(output) = root.as_mut().poll(&mut cx) {
            executor::drop_spawned();
            return output;
        }
        executor::poll_spawned(&mut cx);
        if !woken.0.load(Relaxed) {
            assert!(
                advance(),
                "the webtask waits for nothing that could ever happen"
            );
        }
    }
}

/// Moves the clock to the next time that somebody waits for. `false` if there is none.
fn advance() -> bool {
    let mut timers = TIMERS.take();
    let Some(next) = timers.iter().map(|(until, _)| *until).min() else {
        return false;
    };
    NOW.set(NOW.get().max(next));
    timers.retain(|(until, waker)| {
        let early = *until > next;
        if !early {
            waker.wake_by_ref();
        }
        early
    });
    TIMERS.set(timers);
    true
}

#[cfg(test)]
mod tests;
