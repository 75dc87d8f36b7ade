//! Fills half of its memory, and copies it, for ever: each time one instruction.
use webtask::{Error, Request, Response};

#[webtask::main]
async fn main(_: Request) -> Result<Response, Error> {
    let mut bytes = vec![1_u8; 32 << 20];
    let half = bytes.len() / 2;
    loop {
        std::hint::black_box(&mut bytes).fill(2);
        std::hint::black_box(&mut bytes).copy_within(..half, half);
    }
}
