//! What a token costs in time, as a table in Markdown: `cargo bench -p webtask-token --bench open`.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod cases;

use std::time::Instant;

/// The allocator that the command `webtask` has.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Short rounds, and many: most of them are not interrupted, whatever else the machine does.
const ROUNDS: usize = 1001;
const CALLS: u32 = 20;

fn main() {
    println!("| | token, bytes | µs, p10 | µs, p50 | µs, p90 |\n|---|---|---|---|---|");
    for (name, len, mut work) in cases::all() {
        let mut rounds: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..CALLS {
                    work();
                }
                start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
            })
            .collect();
        rounds.sort_by(f64::total_cmp);
        let at = |share: usize| {
            rounds
                .get(ROUNDS * share / 100)
                .copied()
                .unwrap_or_default()
        };
        println!(
            "| {name} | {len} | {:.2} | {:.2} | {:.2} |",
            at(10),
            at(50),
            at(90)
        );
    }
}
