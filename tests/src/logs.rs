//! What the host logged, found by the id of a request.

use std::{
    io::Write,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
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

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
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

/// The lines that mention `text`, such as the id of a request.
pub fn lines_of(text: &str) -> Vec<String> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&log)
        .lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect()
}

/// Waits until a line mentions both texts; panics after ten seconds.
pub async fn wait_for_line(text: &str, also: &str) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(line) = lines_of(text).into_iter().find(|line| line.contains(also)) {
            return line;
        }
        assert!(
            Instant::now() < until,
            "no line with {text:?} and {also:?} in {:#?}",
            lines_of(text)
        );
        tokio::task::yield_now().await;
    }
}
