//! One reader: the lines that wait for it, and a count of those that did not fit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde::Serialize;
use tokio::sync::Notify;

use super::{
    Filter, Line, Position, lock,
    tenant::{Missing, TenantLog},
};

/// What waits for a reader at most, beside the history that it began with. Whoever is slower loses lines.
const QUEUE_LINES: usize = 1_000;
const QUEUE_BYTES: u64 = 128 << 10;

/// Why lines are missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Because {
    /// They had gone out of the history.
    History,
    /// The process is another one than that of the last id.
    Restart,
    /// The reader did not keep up.
    SlowReader,
}

/// What a reader gets next.
#[derive(Debug)]
pub(super) enum Entry {
    /// So many lines that the reader would have got are missing; nobody knows how many without a number.
    Dropped(Option<u64>, Because),
    Line(Arc<Line>),
}

/// Between whoever writes and one reader.
#[derive(Debug)]
pub(super) struct Queue {
    filter: Filter,
    waiting: Mutex<Waiting>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// Of lines that came after the history.
    lines: usize,
    bytes: u64,
    /// Entries of the history that are still there, and count for nothing.
    history: usize,
}

impl Queue {
    fn new(filter: Filter) -> Arc<Self> {
        Arc::new(Self {
            filter,
            waiting: Mutex::default(),
            grown: Notify::new(),
        })
    }

    /// A new line, for which the log of its tenant is locked: one comparison, and no wait.
    pub(super) fn push(&self, line: &Arc<Line>) {
        if !self.filter.passes(line) {
            return;
        }
        let size = line.bytes();
        {
            let mut waiting = lock(&self.waiting);
            if waiting.lines >= QUEUE_LINES || waiting.bytes.saturating_add(size) > QUEUE_BYTES {
                // The gap stands where the lines would.
                match waiting.entries.back_mut() {
                    Some(Entry::Dropped(Some(count), Because::SlowReader)) => {
                        *count = count.saturating_add(1);
                    }
                    _ => {
                        let gap = Entry::Dropped(Some(1), Because::SlowReader);
                        waiting.entries.push_back(gap);
                    }
                }
            } else {
                waiting.lines = waiting.lines.saturating_add(1);
                waiting.bytes = waiting.bytes.saturating_add(size);
                waiting.entries.push_back(Entry::Line(line.clone()));
            }
        }
        self.grown.notify_one();
    }

    fn pop(&self) -> Option<Entry> {
        let mut waiting = lock(&self.waiting);
        let entry = waiting.entries.pop_front()?;
        if waiting.history > 0 {
            waiting.history = waiting.history.saturating_sub(1);
        } else if let Entry::Line(line) = &entry {
            waiting.lines = waiting.lines.saturating_sub(1);
            waiting.bytes = waiting.bytes.saturating_sub(line.bytes());
        }
        if waiting.entries.is_empty() {
            // What a long history took.
            waiting.entries.shrink_to(64);
        }
        Some(entry)
    }
}

/// A reader of one tenant's log, until it is dropped.
pub(crate) struct Reader {
    queue: Arc<Queue>,
    log: Option<Arc<TenantLog>>,
    process: String,
}

impl Reader {
    pub(super) fn new(
        log: Arc<TenantLog>,
        process: &str,
        filter: Filter,
        position: Option<Position>,
    ) -> Self {
        let queue = Queue::new(filter);
        log.attach(&queue, |state| {
            let mut waiting = lock(&queue.waiting);
            let of_process = |position: &&Position| position.process == process;
            let number = position.as_ref().filter(of_process).map(|at| at.number);
            let missing = number.map(|number| state.missing(number));
            let (dropped, number) = match (missing, &position) {
                (None, Some(_)) => (Some((None, Because::Restart)), None),
                (Some(Missing::Some(count)), _) => {
                    // Of others' lines that this reader does not see nothing is told, also not how many.
                    let count = queue.filter.passes_all().then_some(count);
                    (Some((count, Because::History)), number)
                }
                (Some(Missing::Unknown), _) => (Some((None, Because::History)), None),
                _ => (None, number),
            };
            waiting
                .entries
                .extend(dropped.map(|(count, because)| Entry::Dropped(count, because)));
            let kept = state.after(number).filter(|line| queue.filter.passes(line));
            waiting.entries.extend(kept.cloned().map(Entry::Line));
            waiting.history = waiting.entries.len();
        });
        Self {
            queue,
            log: Some(log),
            process: process.to_owned(),
        }
    }

    /// One that gets nothing.
    pub(super) fn none(process: &str, filter: Filter) -> Self {
        Self {
            queue: Queue::new(filter),
            log: None,
            process: process.to_owned(),
        }
    }

    /// What is next, if there is anything.
    pub(super) fn next(&self) -> Option<Entry> {
        self.queue.pop()
    }

    /// Ready once there is something, or there was.
    pub(super) async fn grown(&self) {
        self.queue.grown.notified().await;
    }

    /// The id of an event.
    pub(super) fn id(&self, line: &Line) -> String {
        format!("{}-{:x}", self.process, line.number)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(log) = &self.log {
            log.detach(&self.queue);
        }
    }
}
