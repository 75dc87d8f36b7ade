//! The hostile tenant and its helpers, all at once: each a loop that pauses, so that their number bounds them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};
use webtask_tests::{examples, guests, now};
use webtask_token::Claims;

use crate::{
    bombs,
    caller::{Way, ask, connect},
    corpus::{self, Entry, Place},
    network,
    server::Server,
};

/// Callers of the corpus at the same time.
const CALLERS: usize = 32;

/// Counts by what happened.
pub(crate) type Answers = Arc<Mutex<BTreeMap<&'static str, u64>>>;

/// What all of them share.
#[derive(Clone)]
pub(crate) struct Ring {
    pub(crate) server: Arc<Server>,
    entries: Arc<Vec<Entry>>,
    next: Arc<AtomicUsize>,
    answers: Answers,
    slow: String,
    code: String,
}

/// All of them, while they run.
pub(crate) struct Hostile {
    ring: Ring,
    tasks: JoinSet<()>,
}

/// Counts one more.
pub(crate) fn note(answers: &Answers, what: &'static str) {
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    *answers.entry(what).or_insert(0) += 1;
}

impl Hostile {
    /// Starts them all; every `crowd` all places are taken for a moment.
    pub(crate) fn start(server: &Arc<Server>, place: &Place, crowd: Duration) -> Self {
        let ring = Ring {
            server: server.clone(),
            entries: Arc::new(corpus::all(server, place)),
            next: Arc::default(),
            answers: Arc::default(),
            slow: place.slow.url.clone(),
            code: place.origin.url("/code/none.wasm"),
        };
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            tasks.spawn(ring.clone().call_guests());
        }
        for number in 0..2 {
            tasks.spawn(ring.clone().bring_bad_code(number));
        }
        tasks.spawn(ring.clone().bring_bad_tokens());
        tasks.spawn(ring.clone().fetch_for_ever());
        tasks.spawn(ring.clone().crowd(crowd));
        tasks.spawn(ring.clone().one_token());
        network::start(&mut tasks, server.address, &ring.answers);
        Self { ring, tasks }
    }

    /// Whether each of the corpus was called three times.
    pub(crate) fn all_called(&self) -> bool {
        self.ring.next.load(Relaxed) >= 3 * self.ring.entries.len() + CALLERS
    }

    /// What the callers saw.
    pub(crate) fn answers(&self) -> BTreeMap<&'static str, u64> {
        let answers = self
            .ring
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        answers.clone()
    }

    /// Leaves in the middle of everything.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

impl Ring {
    async fn ask(&self, from: u8, token: &str, path: &str, body: usize, way: Way) {
        let what = match connect(self.server.address, from).await {
            Ok(stream) => ask(stream, token, path, body, way).await,
            Err(_) => "no connection",
        };
        note(&self.answers, what);
    }

    /// The corpus, over and over, each time read in another way.
    async fn call_guests(self) {
        loop {
            let number = self.next.fetch_add(1, Relaxed);
            let round = number / self.entries.len();
            let Some(entry) = self.entries.get(number % self.entries.len()) else {
                return;
            };
            let way = match (number + round) % 6 {
                _ if round == 0 => Way::Read,
                0 => Way::Leave(1 + (number % 500) as u64),
                1 => Way::Sip,
                _ => Way::Read,
            };
            self.ask(2, &entry.token, &entry.path, entry.body, way)
                .await;
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Code that is none, and code that hurts who compiles it, each time with another digest.
    async fn bring_bad_code(self, first: usize) {
        let hello = std::fs::read(examples::HELLO).expect("it is built");
        for number in (first..).step_by(2) {
            let bytes = match number / 2 % 10 {
                0 => b"not WebAssembly at all".to_vec(),
                1 => b"\0asm\x01\0\0\0".to_vec(),
                2 => bombs::component(&[]),
                3 => bombs::many_imports(10_000),
                4 => bombs::deep_components(1_000),
                5 => bombs::deep_types(10_000),
                6 => bombs::doubled_types(100),
                7 => bombs::deep_blocks(100_000),
                8 if number / 20 % 2 == 0 => bombs::huge_function(20_000),
                8 => bombs::many_functions(100_000),
                _ => hello.clone(),
            };
            let path = self.server.code.join(format!("{number}.wasm"));
            let code = match number % 7 {
                5 => vec![0; 5 << 20],
                _ => bombs::unseen(&bytes, number),
            };
            std::fs::write(&path, code).expect("a file");
            let token = self
                .server
                .seal("hostile", path.to_str().expect("text"), |_| {});
            self.ask(3, &token, "/", 0, Way::Read).await;
            let _ = std::fs::remove_file(&path);
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Tokens that are forged, cut, long, too early, too late, of no tenant here, or called too often.
    async fn bring_bad_tokens(self) {
        let seal = |change: fn(&mut Claims)| self.server.seal("hostile", examples::HELLO, change);
        let good = seal(|_| {});
        let forged: String = good.chars().rev().collect();
        let mut flipped = good.clone();
        let last = if flipped.pop() == Some('A') { 'B' } else { 'A' };
        flipped.push(last);
        let tokens = [
            forged,
            flipped,
            good.chars().take(good.len() / 2).collect(),
            "wt1.".to_owned() + &"A".repeat(9_000),
            String::new(),
            seal(|claims| (claims.iat, claims.exp) = (now() - 100, now() - 50)),
            seal(|claims| claims.nbf = Some(now() + 10_000)),
            seal(|claims| claims.sha256 = Some([7; 32])),
            seal(|claims| claims.url = "file:///etc/passwd".to_owned()),
            self.server.seal("nobody", examples::HELLO, |_| {}),
            seal(|claims| claims.lim.rate = Some(10)),
        ];
        for token in tokens.iter().cycle() {
            self.ask(3, token, "/", 0, Way::Read).await;
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Code from an origin that never ends, and from one that has none.
    async fn fetch_for_ever(self) {
        let urls = [
            format!("{}/body", self.slow),
            self.slow.clone() + "/x",
            self.code.clone(),
        ];
        for number in 0.. {
            let each = urls.iter().flat_map(|url| [url; 3]).enumerate();
            let asked = each.map(|(index, url)| {
                let (ring, url) = (self.clone(), format!("{url}?{index}{number}"));
                async move {
                    let token = ring.server.seal("hostile", examples::HELLO, |claims| {
                        (claims.url, claims.sha256) = (url, None);
                    });
                    ring.ask(3, &token, "/", 0, Way::Read).await;
                }
            });
            let mut asked: JoinSet<()> = asked.collect();
            while asked.join_next().await.is_some() {}
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Another tenant that takes all places that are left, for a moment, and more.
    async fn crowd(self, every: Duration) {
        loop {
            sleep(every / 2).await;
            let mut asked: JoinSet<()> = (0..60)
                .map(|_| {
                    let ring = self.clone();
                    async move {
                        let token = ring.server.seal("crowd", guests::PARK, |claims| {
                            claims.lim.wall_ms = Some(300);
                        });
                        ring.ask(4, &token, "/", 0, Way::Read).await;
                    }
                })
                .collect();
            while asked.join_next().await.is_some() {}
            sleep(every / 2).await;
        }
    }

    /// One token more often at the same time than it may.
    async fn one_token(self) {
        let token = self.server.seal("hostile", guests::SLOWBODY, |_| {});
        loop {
            let mut asked: JoinSet<()> = (0..16)
                .map(|_| {
                    let (ring, token) = (self.clone(), token.clone());
                    async move { ring.ask(3, &token, "/?ms=5&n=10", 0, Way::Read).await }
                })
                .collect();
            while asked.join_next().await.is_some() {}
            sleep(Duration::from_secs(2)).await;
        }
    }
}
