//! What a token costs in allocations, as a table in Markdown: `cargo bench -p webtask-token --bench
//! allocations`. Apart from the times, because an allocator that counts is slower.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod cases;

fn main() {
    println!("| | token, bytes | allocations | bytes |\n|---|---|---|---|");
    for (name, len, work) in cases::all() {
        let used = allocation_counter::measure(work);
        println!(
            "| {name} | {len} | {} | {} |",
            used.count_total, used.bytes_total
        );
    }
}
