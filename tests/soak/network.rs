//! Callers that attack the connection: slow heads, floods, half prefaces, resets, storms.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};
use webtask_tests::frames::{END_HEADERS, END_STREAM, PREFACE, frame, head, kind};

use crate::{
    caller::connect,
    hostile::{Answers, note},
};

/// Longer than the host keeps any of them.
const LONG: Duration = Duration::from_secs(20);

/// Starts them all.
pub(crate) fn start(tasks: &mut JoinSet<()>, address: SocketAddr, answers: &Answers) {
    for number in 0..100 {
        tasks.spawn(slow_head(address, answers.clone(), number));
    }
    for number in 0..20 {
        tasks.spawn(half_a_preface(address, answers.clone(), number));
    }
    for number in 0..4 {
        tasks.spawn(storm(address, answers.clone(), number));
    }
    for number in 0..floods().len() {
        tasks.spawn(flood(address, answers.clone(), number));
    }
}

/// A byte of a head twice in a second.
async fn slow_head(address: SocketAddr, answers: Answers, number: u64) {
    sleep(Duration::from_millis(30 * number)).await;
    loop {
        if let Ok(mut stream) = connect(address, 4).await {
            let mut sent = stream.write_all(b"GET /run HTTP/1.1\r\nhost: ").await;
            for _ in 0..40 {
                sleep(Duration::from_millis(500)).await;
                if sent.is_err() {
                    break;
                }
                sent = stream.write_all(b"x").await;
            }
            note(
                &answers,
                if sent.is_ok() {
                    "a slow head was kept"
                } else {
                    "a slow head was ended"
                },
            );
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Half of what HTTP/2 begins with, nothing, or all of it and no frame.
async fn half_a_preface(address: SocketAddr, answers: Answers, number: usize) {
    let bytes = match number % 3 {
        0 => PREFACE.get(..12).unwrap_or_default(),
        1 => &[],
        _ => PREFACE,
    };
    loop {
        if let Ok(mut stream) = connect(address, 5).await {
            let _ = stream.write_all(bytes).await;
            ended(&mut stream, &answers, "half a preface was ended").await;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Fifty connections at once, which leave at once; four of these are more than one address may have.
async fn storm(address: SocketAddr, answers: Answers, number: u64) {
    sleep(Duration::from_millis(10 * number)).await;
    loop {
        let mut streams = Vec::new();
        for _ in 0..50 {
            if let Ok(stream) = connect(address, 6).await {
                streams.push(stream);
            }
        }
        sleep(Duration::from_millis(200)).await;
        drop(streams);
        note(&answers, "a storm of 50 connections");
        sleep(Duration::from_millis(800)).await;
    }
}

/// What is sent at once over one connection.
fn floods() -> Vec<Vec<u8>> {
    let begin = || [PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat();
    let get = head("GET", "/run", &[("webtask-token", "wt1.forged")]);
    let with = |frames: &dyn Fn(u32) -> Vec<u8>, number| {
        (0..number).fold(begin(), |mut all, index| {
            all.extend(frames(index));
            all
        })
    };
    let reset = |index: u32| {
        let stream = 2 * index + 1;
        let ask = frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get);
        [ask, frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    };
    let continued = |index: u32| match index {
        0 => frame(kind::HEADERS, END_STREAM, 1, &get),
        _ => frame(kind::CONTINUATION, 0, 1, &head("GET", "/", &[])),
    };
    let field = |index: usize| format!("x-{index}: {}\r\n", "y".repeat(50)).into_bytes();
    let fields = |number: usize| {
        let fields: Vec<u8> = (0..number).flat_map(field).collect();
        [
            b"GET /run HTTP/1.1\r\nhost: x\r\n".as_slice(),
            &fields,
            b"\r\n",
        ]
        .concat()
    };
    vec![
        with(&reset, 1_000),
        with(&reset, 50),
        with(&continued, 5_000),
        with(&|_| frame(kind::PING, 0, 0, &[7; 8]), 2_000),
        with(&|_| frame(kind::SETTINGS, 0, 0, &[]), 2_000),
        with(
            &|index| frame(kind::HEADERS, END_HEADERS, 2 * index + 1, &get),
            200,
        ),
        with(&|index| frame(kind::DATA, 0, index, &[0; 1000]), 10),
        fields(90),
        fields(300),
        fields(20_000),
        vec![b'x'; 100_000],
        b"POST /run HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec(),
    ]
}

async fn flood(address: SocketAddr, answers: Answers, number: usize) {
    let Some(bytes) = floods().into_iter().nth(number) else {
        return;
    };
    loop {
        if let Ok(mut stream) = connect(address, 5).await {
            // The host may close before it has all.
            let _ = timeout(LONG, stream.write_all(&bytes)).await;
            ended(&mut stream, &answers, "a flood was ended").await;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Reads until the host ends the connection.
async fn ended(stream: &mut TcpStream, answers: &Answers, what: &'static str) {
    let mut piece = vec![0; 4096];
    let until = async { while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {} };
    match timeout(LONG, until).await {
        Ok(()) => note(answers, what),
        Err(_) => note(answers, "a connection was kept for 20 s"),
    }
}
