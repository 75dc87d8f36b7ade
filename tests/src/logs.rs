//! What the host logged, found by the id of a request.

use std::{
    io::Write,
    sync::{LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

use crate::SOON;

/// Longer than any run of these tests, so that one that hangs is on record when the wait ends.
const PATIENCE: Duration = SOON.saturating_mul(3);

/// The lines of this process so far.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Told of every new line.
static GROWN: LazyLock<watch::Sender<()>> = LazyLock::new(|| watch::Sender::new(()));
static ON: OnceLock<()> = OnceLock::new();

/// Starts to keep every line that this process logs.
pub(crate) fn capture() {
    ON.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(Sink)
            .init();
    });
}

/// The subscriber writes a whole event at once.
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        lock().extend(text.lines().map(str::to_owned));
        GROWN.send_replace(());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lines that mention `text`, such as the id of a request.
pub fn lines_of(text: &str) -> Vec<String> {
    let lines = lock();
    let of_text = lines.iter().filter(|line| line.contains(text));
    of_text.cloned().collect()
}

/// Waits until a line mentions both texts; panics if none comes.
pub async fn wait_for_line(text: &str, also: &str) -> String {
    let found = tokio::time::timeout(PATIENCE, find(text, also)).await;
    found.unwrap_or_else(|_| {
        panic!(
            "no line with {text:?} and {also:?} in {:#?}",
            lines_of(text)
        )
    })
}

async fn find(text: &str, also: &str) -> String {
    let mut grown = GROWN.subscribe();
    let mut seen = 0;
    loop {
        {
            let lines = lock();
            let mut new = lines[seen..].iter();
            if let Some(line) = new.find(|line| line.contains(text) && line.contains(also)) {
                return line.clone();
            }
            seen = lines.len();
        }
        let open = grown.changed().await;
        open.expect("the log of this process is never closed");
    }
}
