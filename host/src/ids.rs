//! Ids of requests.

use std::sync::atomic::{AtomicU64, Ordering};

use data_encoding::HEXLOWER;

/// Request ids: a random prefix for the process and a counter, so that no two hosts share one.
pub(crate) struct Ids {
    process: String,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let process = getrandom::u32()?;
        Ok(Self {
            process: format!("{process:08x}"),
            next: AtomicU64::new(1),
        })
    }

    /// What all ids of this process begin with.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    /// The number has six digits, and two more whenever it needs them.
    pub(crate) fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let zeros = number.iter().take(5).take_while(|byte| **byte == 0).count();
        let mut id = String::with_capacity(self.process.len().saturating_add(17));
        id.push_str(&self.process);
        id.push('-');
        HEXLOWER.encode_append(number.get(zeros..).unwrap_or_default(), &mut id);
        id
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_one_and_grow() {
        let ids = Ids::new().unwrap();
        for (next, text) in [
            (1, "000001"),
            (0xab_cdef, "abcdef"),
            (0x100_0000, "01000000"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            ids.next.store(next, Ordering::Relaxed);
            assert_eq!(ids.next(), format!("{}-{text}", ids.process()));
        }
    }
}
