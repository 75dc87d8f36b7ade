//! The log of one tenant: the last lines, within bounds, and the queues of its readers.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::time::Instant;

use super::{Bounds, Line, lock, reader::Queue};

/// Bits of a number that count lines; those above say of which log they are.
const COUNTED: u32 = 40;

pub(super) struct TenantLog(Mutex<State>);

pub(super) struct State {
    lines: VecDeque<Arc<Line>>,
    bytes: u64,
    /// The number of the next line. Numbers of one log have no gaps.
    next: u64,
    last: Instant,
    readers: Vec<Arc<Queue>>,
}

impl TenantLog {
    pub(super) fn new(generation: u64) -> Self {
        let state = State {
            lines: VecDeque::new(),
            bytes: 0,
            // Higher than any number of an earlier log of the same tenant.
            next: generation.wrapping_shl(COUNTED),
            last: Instant::now(),
            readers: Vec::new(),
        };
        Self(Mutex::new(state))
    }

    /// When something was last written.
    pub(super) fn last(&self) -> Instant {
        lock(&self.0).last
    }

    /// Numbers and keeps a line, and queues it for whoever reads.
    pub(super) fn write(&self, mut line: Line, bounds: Bounds, total: &AtomicU64) {
        let mut state = lock(&self.0);
        line.number = state.next;
        state.next = state.next.saturating_add(1);
        state.last = Instant::now();
        let line = Arc::new(line);
        for reader in &state.readers {
            reader.push(&line);
        }
        state.keep(line, bounds, total);
    }

    /// Gives the history back. Readers keep what they have under way.
    pub(super) fn forget(&self, total: &AtomicU64) {
        let mut state = lock(&self.0);
        total.fetch_sub(state.bytes, Ordering::Relaxed);
        state.bytes = 0;
        state.lines = VecDeque::new();
    }

    /// Puts what a reader is to get first into its queue, and all lines to come: nothing is lost between, and
    /// nothing is there twice.
    pub(super) fn attach(&self, queue: &Arc<Queue>, begin: impl FnOnce(&State)) {
        let mut state = lock(&self.0);
        begin(&state);
        state.readers.push(queue.clone());
    }

    pub(super) fn detach(&self, queue: &Arc<Queue>) {
        let mut state = lock(&self.0);
        state.readers.retain(|reader| !Arc::ptr_eq(reader, queue));
    }
}

impl State {
    fn keep(&mut self, line: Arc<Line>, bounds: Bounds, total: &AtomicU64) {
        let size = line.bytes();
        let full = |state: &Self| {
            let all = total.load(Ordering::Relaxed).saturating_add(size);
            state.lines.len() >= bounds.lines
                || state.bytes.saturating_add(size) > bounds.bytes
                || all > bounds.total
        };
        while full(self) {
            let Some(oldest) = self.lines.pop_front() else {
                // Others have all of it, or the line is larger than what may be kept: it is gone at once.
                return;
            };
            let bytes = oldest.bytes();
            self.bytes = self.bytes.saturating_sub(bytes);
            total.fetch_sub(bytes, Ordering::Relaxed);
        }
        total.fetch_add(size, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(size);
        self.lines.push_back(line);
    }

    /// The lines after this number, as far as they are kept.
    pub(super) fn after(&self, number: Option<u64>) -> impl Iterator<Item = &Arc<Line>> {
        let from = number.map_or(0, |number| {
            self.lines.partition_point(|line| line.number <= number)
        });
        self.lines.iter().skip(from)
    }

    /// What became of the lines after this number.
    pub(super) fn missing(&self, number: u64) -> Missing {
        let oldest = self.lines.front().map_or(self.next, |line| line.number);
        if number >= self.next {
            return Missing::Unknown;
        }
        let expected = number.saturating_add(1);
        match oldest.saturating_sub(expected) {
            0 => Missing::None,
            _ if number >> COUNTED != self.next >> COUNTED => Missing::Unknown,
            count => Missing::Some(count),
        }
    }
}

/// Lines that are in no history any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Missing {
    None,
    /// So many of the whole tenant.
    Some(u64),
    /// The number is of another log.
    Unknown,
}
