//! A program for the command line, and no webtask: it exports `wasi:cli/run`.

fn main() {
    println!("hello");
}
