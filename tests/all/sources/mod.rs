//! Where code comes from: how long it is taken for what is there, and what an origin can do about it.

mod caching;
mod down;
mod files;
mod lies;
mod mirrors;
mod registry;
mod tenants;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use http::Response;
use sha2::{Digest as _, Sha256};
use webtask_tests::{Origin, Reply, SOON, Seen, TestHost, examples, guests, now};
use webtask_token::Claims;

/// What `hello` answers.
const HELLO: &str = "Hello, world!\n";
/// What `echo` answers to a request without a body.
const ECHO: &str = "";

fn hello() -> Bytes {
    std::fs::read(examples::HELLO)
        .expect("hello is built")
        .into()
}

/// Other code than `hello`.
fn echo() -> Bytes {
    std::fs::read(guests::ECHO).expect("echo is built").into()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn unpinned(host: &TestHost, url: &str) -> String {
    host.seal(&Claims::new(url, now()))
}

fn pinned(host: &TestHost, url: &str, code: &[u8]) -> String {
    let mut claims = Claims::new(url, now());
    claims.sha256 = Some(sha256(code));
    host.seal(&claims)
}

/// Calls, and holds what the webtask answers against `text`.
async fn answers(host: &TestHost, token: &str, text: &str) {
    let reply = host.get(token, "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.text(), text);
}

/// Calls, and holds the code of the host's error against `code`.
async fn fails(host: &TestHost, token: &str, code: &str) -> Reply {
    let reply = host.get(token, "").await;
    assert_eq!(reply.code(), code, "{reply:?}");
    reply
}

/// Calls until the answer is `text`.
async fn becomes(host: &TestHost, token: &str, text: &str) {
    let started = Instant::now();
    loop {
        let reply = host.get(token, "").await;
        if reply.status == 200 && reply.text() == text {
            return;
        }
        assert!(started.elapsed() < SOON, "never {text:?}: {reply:?}");
    }
}

/// An answer of status 200 with this code and these fields.
fn code(bytes: Bytes, fields: &[(&str, &str)]) -> Response<Bytes> {
    with(200, bytes, fields)
}

fn with(status: u16, bytes: Bytes, fields: &[(&str, &str)]) -> Response<Bytes> {
    let builder = Response::builder().status(status);
    let builder = fields.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(bytes).expect("a response")
}

type Answer = Box<dyn Fn(&Seen) -> Response<Bytes> + Send>;

/// An origin whose answer changes.
struct Shelf {
    origin: Origin,
    answer: Arc<Mutex<Answer>>,
}

impl Shelf {
    async fn start(answer: impl Fn(&Seen) -> Response<Bytes> + Send + 'static) -> Self {
        let answer: Arc<Mutex<Answer>> = Arc::new(Mutex::new(Box::new(answer)));
        let shared = answer.clone();
        let origin = Origin::start(move |seen| {
            let answer = shared.lock().unwrap_or_else(PoisonError::into_inner);
            answer(seen)
        });
        Self {
            origin: origin.await,
            answer,
        }
    }

    fn put(&self, answer: impl Fn(&Seen) -> Response<Bytes> + Send + 'static) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(answer);
    }

    /// How often it was asked.
    fn asked(&self) -> usize {
        self.origin.seen().len()
    }

    /// A host that takes code from it.
    async fn host(&self) -> TestHost {
        let builder = TestHost::builder().loopback();
        builder.code(&self.origin.url("/")).start().await
    }
}
