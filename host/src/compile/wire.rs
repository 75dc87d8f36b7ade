//! What a compiler and its owner say to each other: a greeting, one component, at most two frames.
//!
//! A frame is a tag, the length of its payload and the payload's digest. Every length has a bound before
//! anything is read.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::engine::Fingerprint;

/// What a compiler says first, before its fingerprint.
const GREETING: [u8; 8] = *b"webtask1";

/// Bytes of the first thing that a compiler says.
pub(super) const HELLO: usize = GREETING.len() + size_of::<Fingerprint>();

/// Bytes of a frame before its payload.
const HEAD: usize = 1 + 8 + 32;

/// The most bytes of a frame that is no native code.
pub(super) const MAX_TEXT: u64 = 1 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tag {
    /// JSON of the analysis. The code, or why there is none, comes after it.
    Analysis = 1,
    /// The artefact.
    Code = 2,
    /// Why the component cannot be compiled.
    Invalid = 3,
    /// There was not enough memory.
    Memory = 4,
}

impl Tag {
    fn of(byte: u8) -> Option<Self> {
        let all = [Self::Analysis, Self::Code, Self::Invalid, Self::Memory];
        all.into_iter().find(|tag| *tag as u8 == byte)
    }
}

/// Why there is no frame.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum NoFrame {
    /// The payload has another digest.
    Digest,
    /// The other side is gone, in the middle or before.
    Gone,
    /// The payload would be larger than the bound.
    TooLarge,
    /// What came is no frame.
    Unknown,
}

/// The first bytes of a compiler with this fingerprint.
pub(super) fn hello(fingerprint: &Fingerprint) -> Vec<u8> {
    [GREETING.as_slice(), fingerprint].concat()
}

/// The bytes of a frame before `payload`.
pub(super) fn head(tag: Tag, payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    head.push(tag as u8);
    head.extend((payload.len() as u64).to_le_bytes());
    head.extend(blake3::hash(payload).as_bytes());
    head
}

/// Reads a frame, whose payload is at most `bound` of its tag.
pub(super) async fn read(
    from: &mut (impl AsyncRead + Unpin),
    bound: impl Fn(Tag) -> u64,
) -> Result<(Tag, Vec<u8>), NoFrame> {
    let tag = Tag::of(from.read_u8().await.map_err(|_| NoFrame::Gone)?).ok_or(NoFrame::Unknown)?;
    let length = from.read_u64_le().await.map_err(|_| NoFrame::Gone)?;
    if length > bound(tag) {
        return Err(NoFrame::TooLarge);
    }
    let mut digest = [0; 32];
    let read = from.read_exact(&mut digest).await;
    read.map_err(|_| NoFrame::Gone)?;
    // Grows with what comes: a length alone takes no memory.
    let mut payload = Vec::new();
    let read = from.take(length).read_to_end(&mut payload).await;
    read.map_err(|_| NoFrame::Gone)?;
    if payload.len() as u64 != length {
        return Err(NoFrame::Gone);
    }
    if blake3::hash(&payload) != digest {
        return Err(NoFrame::Digest);
    }
    Ok((tag, payload))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> Result<(Tag, Vec<u8>), NoFrame> {
        read(&mut &*bytes, |_| 1_000).await
    }

    fn frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
        [&head(tag, payload), payload].concat()
    }

    #[tokio::test]
    async fn a_frame_is_whole_and_unchanged_or_none() {
        let good = frame(Tag::Code, b"artefact");
        assert_eq!(read_all(&good).await, Ok((Tag::Code, b"artefact".to_vec())));
        for cut in 0..good.len() {
            let part = good.get(..cut).unwrap();
            assert_eq!(read_all(part).await, Err(NoFrame::Gone), "{cut}");
        }
        for at in 0..good.len() {
            let mut other = good.clone();
            *other.get_mut(at).unwrap() ^= 0x40;
            assert!(read_all(&other).await.is_err(), "{at}");
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_bound_is_refused_before_anything_is_read() {
        let large = frame(Tag::Analysis, &[0; 1_001]);
        let head = large.get(..HEAD).unwrap();
        assert_eq!(read_all(head).await, Err(NoFrame::TooLarge));
        assert_eq!(read_all(b"\x09").await, Err(NoFrame::Unknown));
    }
}
