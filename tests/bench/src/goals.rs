//! The goals, and how far what was measured is from them.

use crate::table::{self, Figures, number};

/// Which side of a bound is good.
#[derive(Clone, Copy)]
enum Good {
    AtLeast,
    AtMost,
}

/// A goal: what it is of, its unit, the bounds, and how it follows from the figures.
struct Goal {
    of: &'static str,
    unit: &'static str,
    good: Good,
    must: f64,
    aim: f64,
    measured: fn(&Figures) -> Option<f64>,
}

const fn most(
    of: &'static str,
    unit: &'static str,
    must: f64,
    aim: f64,
    measured: fn(&Figures) -> Option<f64>,
) -> Goal {
    Goal {
        of,
        unit,
        good: Good::AtMost,
        must,
        aim,
        measured,
    }
}

const fn least(
    of: &'static str,
    unit: &'static str,
    must: f64,
    aim: f64,
    measured: fn(&Figures) -> Option<f64>,
) -> Goal {
    Goal {
        good: Good::AtLeast,
        ..most(of, unit, must, aim, measured)
    }
}

fn ratio(figures: &Figures, over: &str, under: &str) -> Option<f64> {
    Some(figures.get(over)? / figures.get(under)?)
}

fn sum(figures: &Figures, names: &[&str]) -> Option<f64> {
    figures.get("calls.ioctl")?;
    let each = names
        .iter()
        .map(|name| figures.get(&format!("calls.{name}")));
    // Not `sum`: that of nothing is -0.0.
    Some(each.flatten().fold(0.0, |sum, calls| sum + calls))
}

const GOALS: &[Goal] = &[
    most(
        "warm request, 0.2: CPU against native hyper",
        "×",
        3.0,
        2.0,
        |f| ratio(f, "one.webtask.cpu", "one.native.cpu"),
    ),
    most(
        "its own cost over one call of the engine",
        "µs",
        5.0,
        3.0,
        |f| Some(f.get("one.webtask.cpu")? - f.get("one.engine.cpu")?),
    ),
    least(
        "throughput against `wasmtime serve` default, one core",
        "×",
        3.0,
        4.0,
        |f| ratio(f, "one.webtask.rate", "one.wasmtime.rate"),
    ),
    least("the same, two cores", "×", 5.0, 6.0, |f| {
        ratio(f, "two.webtask.rate", "two.wasmtime.rate")
    }),
    most(
        "0.3 component, fresh instance: CPU against native",
        "×",
        4.5,
        3.5,
        |f| ratio(f, "one.p3.cpu", "one.native.cpu"),
    ),
    most(
        "system calls besides recv and writev: ioctl",
        "",
        1.0,
        1.0,
        |f| sum(f, &["ioctl"]),
    ),
    most(
        "system calls: mmap, munmap, mprotect, madvise",
        "",
        0.005,
        0.005,
        |f| sum(f, &["mmap", "munmap", "mprotect", "madvise"]),
    ),
    least(
        "64 KiB echo against native, throughput",
        "×",
        0.45,
        0.7,
        |f| ratio(f, "echo.webtask.rate", "echo.native.rate"),
    ),
    most(
        "hello through the SDK: CPU over raw bindings",
        "×",
        1.2,
        1.05,
        |f| ratio(f, "one.sdk.cpu", "one.webtask.cpu"),
    ),
    most("unseen component (SDK hello), p50", "ms", 60.0, 20.0, |f| {
        f.get("cold.unseen").copied()
    }),
    most(
        "compiled before, not in memory: added to the first request",
        "ms",
        1.0,
        0.3,
        |f| Some(f.get("cold.disk")? - f.get("cold.memory")?),
    ),
    most(
        "10,000 tokens over 1,000 components: warm latency against one",
        "×",
        1.3,
        1.1,
        |f| f.get("mixed.latency").copied(),
    ),
    most(
        "anonymous memory for each component",
        "KiB",
        100.0,
        75.0,
        |f| f.get("mixed.anonymous").copied(),
    ),
    most(
        "open a token of about 1 KiB with one caveat",
        "µs",
        10.0,
        4.0,
        |f| f.get("open.large").copied(),
    ),
    most(
        "polite tenant's p99 beside a hostile one, against alone",
        "×",
        3.0,
        1.5,
        |f| f.get("neighbours.p99").copied(),
    ),
];

/// A row for each goal that was measured.
pub(crate) fn print(figures: &Figures) {
    let columns = ["goal", "must", "aim", "measured", ""];
    table::begin("Goals", "From the tables above.", &columns);
    for goal in GOALS {
        let Some(measured) = (goal.measured)(figures) else {
            continue;
        };
        let (sign, reached) = match goal.good {
            Good::AtLeast => ("≥", [measured >= goal.must, measured >= goal.aim]),
            Good::AtMost => ("≤", [measured <= goal.must, measured <= goal.aim]),
        };
        let verdict = match reached {
            [_, true] => "aim reached".to_owned(),
            [true, _] => "must reached".to_owned(),
            _ => format!(
                "**missed** by {:.0} %",
                (measured / goal.must - 1.0).abs() * 100.0
            ),
        };
        let bound = |bound: f64| format!("{sign} {} {}", number(bound), goal.unit);
        table::row(&[
            goal.of.to_owned(),
            bound(goal.must),
            bound(goal.aim),
            format!("{} {}", number(measured), goal.unit),
            verdict,
        ]);
    }
}
