//! Lines of the log on their way to stderr, many at a time: a system call for each line is a twenty-fifth of what a warm
//! request costs, and all requests would wait for one another there.

use std::{
    io::{self, Write},
    mem,
    sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How late a line may be. What is lost is what a process that is killed had not written for so long.
const LATEST: Duration = Duration::from_millis(5);
/// Bytes that wait at most. Beyond them whoever logs writes, and waits for a slow reader as without this.
const MOST: usize = 1 << 20;

static KEPT: Kept = Kept {
    lines: Mutex::new(Vec::new()),
    some: Condvar::new(),
    written: Mutex::new(Vec::new()),
    runs: OnceLock::new(),
};

struct Kept {
    /// Not written yet.
    lines: Mutex<Vec<u8>>,
    some: Condvar,
    /// Held while lines are written, so that they stay in order; the memory that the next ones take.
    written: Mutex<Vec<u8>>,
    /// Whether there is a thread that writes.
    runs: OnceLock<bool>,
}

/// stderr for `tracing`: warnings and errors at once, with all before them, and the rest a moment later.
pub(super) struct Lines;

/// Where one line goes.
pub(super) struct Line {
    at_once: bool,
}

/// Writes what is kept: before a process ends.
pub(super) fn flush() {
    KEPT.write();
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn keep(&'static self, line: &[u8], at_once: bool) {
        let (first, full) = {
            let mut lines = lock(&self.lines);
            let first = lines.is_empty();
            lines.extend_from_slice(line);
            (first, lines.len() >= MOST)
        };
        if at_once || full || !*self.runs.get_or_init(|| self.start()) {
            self.write();
        } else if first {
            self.some.notify_one();
        }
    }

    fn write(&self) {
        let mut written = lock(&self.written);
        mem::swap(&mut *written, &mut *lock(&self.lines));
        // Nobody reads it any more, and the requests go on.
        let _ = io::stderr().write_all(&written);
        written.clear();
        written.shrink_to(MOST);
    }

    fn start(&'static self) -> bool {
        let writes = || loop {
            let lines = lock(&self.lines);
            let waited = self.some.wait_while(lines, |lines| lines.is_empty());
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            thread::sleep(LATEST);
            self.write();
        };
        let thread = thread::Builder::new().name("log".into());
        thread.spawn(writes).is_ok()
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { at_once: true }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line {
        Line {
            at_once: *of.level() <= Level::WARN,
        }
    }
}

impl Write for Line {
    /// A whole line: `tracing` hands them over so.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        KEPT.keep(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
