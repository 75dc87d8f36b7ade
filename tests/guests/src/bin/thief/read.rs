//! Reads what comes back at another pace, or at another place.
use crate::{Place, each};
use std::time::Duration;
use webtask_test_guests::{Answer, Call, Exchange};

/// What comes before the cut, in the smallest pieces.
pub(crate) async fn read_byte_by_byte(place: &Place) -> Vec<u8> {
    let mut got = b"read: ".to_vec();
    let call = Call::get(&place.target, "/slot/echo?in=body&cut=1");
    let mut exchange = match Exchange::begin(&call) {
        Ok(exchange) => exchange,
        Err(error) => return error.into_bytes(),
    };
    if let Ok(mut answer) = exchange.answer().await {
        while let Ok(bytes) = answer.read(1).await {
            got.extend(bytes);
        }
    }
    got
}

/// The echo stops in the middle of the secret, and the guest gives up waiting.
pub(crate) async fn read_until_a_stall(place: &Place) -> Vec<u8> {
    each([8, 12, 16, 20], async |cut| {
        let path = format!("/slot/echo?in=body&stall={cut}");
        let mut call = Call::get(&place.target, &path);
        call.patience = Some(Duration::from_millis(100));
        call.send().await
    })
    .await
}

pub(crate) async fn read_until_a_break(place: &Place) -> Vec<u8> {
    let breaks = [8, 12, 16, 20].map(|cut| format!("in=body&break={cut}"));
    place.echoes(breaks).await
}

pub(crate) async fn reflect_later(place: &Place) -> Vec<u8> {
    let first = place.echo("in=body").await;
    let later = each(["/last", "/slot/last"], async |path| {
        Call::get(&place.target, path).send().await
    });
    [first, later.await].concat()
}

/// What the target knows it hands on itself, as a service that tells a callback what it was called with.
pub(crate) async fn reflect_later_elsewhere(place: &Place) -> Vec<u8> {
    let first = place.echo("in=body").await;
    let later = Call::get(&place.target, "/last?in=header").send().await;
    let calls = [first, later].concat();
    let post = Call::get(&place.other, "/keep").post(&calls).send().await;
    [calls, post].concat()
}

/// Sends beginnings of what the secret may be to an echo that streams, and sees whether they come back at once.
pub(crate) async fn guess_by_what_is_held_back(place: &Place) -> Vec<u8> {
    let (mut exchange, mut answer) = match streams(place).await {
        Ok(both) => both,
        Err(error) => return error.into_bytes(),
    };
    let mut known = Vec::new();
    for _ in 0..6 {
        match next_letter(&mut exchange, &mut answer, &known).await {
            Ok(Some(letter)) => known.push(letter),
            Ok(None) => break,
            Err(error) => return [error.as_bytes(), b" after ", &known].concat(),
        }
    }
    [&b"the secret begins with "[..], &known].concat()
}

async fn streams(place: &Place) -> Result<(Exchange, Answer), String> {
    let mut exchange = Exchange::begin(&Call::get(&place.target, "/slot/stream").post(b""))?;
    exchange.write(b"begin\n").await;
    let mut answer = exchange.answer().await?;
    let mut begun = 0;
    while begun < b"begin\n".len() {
        begun += answer.read(64).await?.len();
    }
    Ok((exchange, answer))
}

/// The one letter that is held back where no other is: the secret's next one.
async fn next_letter(
    exchange: &mut Exchange,
    answer: &mut Answer,
    known: &[u8],
) -> Result<Option<u8>, String> {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_+/";
    let mut held = Vec::new();
    for letter in LETTERS {
        let guess = [known, &[*letter]].concat();
        exchange.write(&guess).await;
        // Back at once, or held back?
        let soon = Duration::from_millis(2);
        let at_once = answer.read_soon(guess.len() as u64, soon).await.len();
        exchange.write(b"\n\n").await;
        let mut rest = at_once;
        while rest < guess.len() + 2 {
            rest += answer.read(1 << 10).await?.len();
        }
        if at_once < guess.len() {
            held.push(*letter);
        }
    }
    Ok(match held[..] {
        [letter] => Some(letter),
        // Some, not all: upper and lower case are one, or a machine under load.
        [letter, other] if letter.eq_ignore_ascii_case(&other) => Some(letter),
        _ => None,
    })
}
