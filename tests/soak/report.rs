//! What came of it, as Markdown, and whether that is well.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{polite::Load, server::Counted};

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) rate: u32,
    pub(crate) alone: Load,
    pub(crate) beside: Load,
    /// What the server counted meanwhile.
    pub(crate) counted: Counted,
    /// What the hostile callers saw.
    pub(crate) answers: BTreeMap<&'static str, u64>,
    pub(crate) start: u64,
    pub(crate) peak: u64,
    pub(crate) end: u64,
    pub(crate) settled: Duration,
    pub(crate) quiet_after: Option<Duration>,
    /// Whether the warm-up called all of the corpus.
    pub(crate) whole: bool,
    pub(crate) lives: bool,
    pub(crate) lines: u64,
    pub(crate) alarms: Vec<String>,
    pub(crate) load_average: String,
}

/// Whether memory is back to its start, but for a tenth.
pub(crate) fn is_back(start: u64, now: u64) -> bool {
    now <= start + start / 10
}

impl Report {
    /// What is not as it has to be.
    pub(crate) fn failures(&self) -> Vec<String> {
        let lost = self.alone.lost.len() + self.beside.lost.len();
        let failures = [
            (!self.lives, "the server died".to_owned()),
            (
                !self.whole,
                "the warm-up did not call all of the corpus in 300 s".to_owned(),
            ),
            (
                self.beside.took.is_empty(),
                "no polite request was served".to_owned(),
            ),
            (lost > 0, format!("{lost} polite requests were lost")),
            (
                self.quiet_after.is_none(),
                "something still runs a minute after".to_owned(),
            ),
            (
                !is_back(self.start, self.end),
                "memory is not back".to_owned(),
            ),
            (
                !self.alarms.is_empty(),
                "the log has lines that nobody should cause".to_owned(),
            ),
        ];
        let failures = failures.into_iter().filter(|(failed, _)| *failed);
        failures.map(|(_, what)| what).collect()
    }

    fn load(&self, f: &mut fmt::Formatter<'_>, what: &str, load: &Load) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        let (p50, p99) = (load.percentile(50), load.percentile(99));
        let times = |now: Duration, then: usize| {
            now.as_secs_f64() / self.alone.percentile(then).as_secs_f64().max(1e-6)
        };
        writeln!(
            f,
            "| {what} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            load.sent,
            load.lost.len(),
            ms(p50),
            times(p50, 50),
            ms(p99),
            times(p99, 99),
            ms(load.percentile(100)),
        )
    }
}

fn list<K: fmt::Display>(of: &BTreeMap<K, u64>) -> String {
    let each = of.iter().map(|(name, number)| format!("{name} {number}"));
    each.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let requests = |tenant: &str| {
            let with = format!("tenant=\"{tenant}\"");
            list(&self.counted.by("webtask_requests_total", "code", &with))
        };
        let limits = self.counted.by("webtask_limits_hit_total", "limit", "");
        writeln!(
            f,
            "\n| polite, {} a second | sent | lost | p50 ms | × alone | p99 ms | × alone | longest ms |",
            self.rate
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        self.load(f, "alone", &self.alone)?;
        self.load(f, "beside the corpus", &self.beside)?;
        writeln!(f, "\n| the server | |\n|---|---|")?;
        writeln!(
            f,
            "| the same process | {} |",
            if self.lives { "yes" } else { "no" }
        )?;
        writeln!(
            f,
            "| memory at the start, the peak, the end | {:.0}, {:.0}, {:.0} MiB ({:+.1} % after {:.0} s) |",
            mib(self.start),
            mib(self.peak),
            mib(self.end),
            (self.end as f64 / self.start.max(1) as f64 - 1.0) * 100.0,
            self.settled.as_secs_f64(),
        )?;
        let after = self.quiet_after.map_or("never".to_owned(), |after| {
            format!("{:.1} s", after.as_secs_f64())
        });
        writeln!(f, "| nothing ran after | {after} |")?;
        writeln!(f, "| lines of its log | {} |", self.lines)?;
        writeln!(f, "| hostile requests by code | {} |", requests("hostile"))?;
        writeln!(f, "| those of the crowd | {} |", requests("crowd"))?;
        writeln!(f, "| those without a token of ours | {} |", requests(""))?;
        writeln!(
            f,
            "| limits that were hit, {} of them | {} |",
            limits.len(),
            list(&limits)
        )?;
        writeln!(
            f,
            "| what the hostile callers saw | {} |",
            list(&self.answers)
        )?;
        writeln!(f, "| load average at the end | {} |", self.load_average)?;
        let lost = self.alone.lost.iter().chain(&self.beside.lost).take(20);
        lost.into_iter()
            .try_for_each(|why| writeln!(f, "\nlost: {why}"))?;
        self.alarms
            .iter()
            .try_for_each(|line| writeln!(f, "\nlog: {line}"))
    }
}
