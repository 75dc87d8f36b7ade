//! A body that is written while it is sent: one future, one slot, no queue.
use crate::Error;
use crate::body::{Pending, Pieces};
use bytes::Bytes;
use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

type Producer = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

pub(crate) struct Stream {
    /// Runs only while somebody wants the next piece: this is the back-pressure.
    producer: Option<Producer>,
    slot: Rc<RefCell<Slot>>,
}

#[derive(Default)]
struct Slot {
    piece: Option<Bytes>,
    writer: Option<Waker>,
}

impl Stream {
    pub(crate) fn new<F>(write: F) -> Self
    where
        F: AsyncFnOnce(&mut Writer) -> Result<(), Error> + 'static,
    {
        let slot = Rc::<RefCell<Slot>>::default();
        let mut writer = Writer(Rc::clone(&slot));
        let producer = Box::pin(async move { write(&mut writer).await });
        Self {
            producer: Some(producer),
            slot,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        let Some(producer) = &mut self.producer else {
            return Poll::Ready(Ok(None));
        };
        let done = producer.as_mut().poll(cx);
        if done.is_ready() {
            self.producer = None;
        }
        let mut slot = self.slot.borrow_mut();
        match (slot.piece.take(), done) {
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (None, Poll::Ready(Ok(()))) => Poll::Ready(Ok(None)),
            (None, Poll::Pending) => Poll::Pending,
            (piece, _) => {
                if let Some(writer) = slot.writer.take() {
                    writer.wake();
                }
                Poll::Ready(Ok(piece))
            }
        }
    }
}

impl Pieces for Stream {
    fn chunk(&mut self) -> Pending<'_, Result<Option<Bytes>, Error>> {
        Box::pin(poll_fn(|cx| self.poll_chunk(cx)))
    }
}

/// Writes a body piece by piece; see [`Body::stream`](crate::Body::stream).
pub struct Writer(Rc<RefCell<Slot>>);

impl Writer {
    /// Sends a piece, and returns once it is taken. One piece is in memory at a time.
    ///
    /// If the reader is gone this never returns: the whole producer is dropped.
    pub async fn write(&mut self, piece: impl Into<Bytes>) {
        let mut piece = Some(piece.into()).filter(|piece| !piece.is_empty());
        poll_fn(|cx| {
            let mut slot = self.0.borrow_mut();
            if slot.piece.is_none() {
                match piece.take() {
                    Some(next) => slot.piece = Some(next),
                    None => return Poll::Ready(()),
                }
            }
            slot.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;
    use crate::testing::block_on;

    #[test]
    fn a_stream_is_read_piece_by_piece_and_no_faster() {
        let written = Rc::new(RefCell::new(0));
        let count = Rc::clone(&written);
        let mut body = Body::stream(async move |writer| {
            for piece in ["a", "", "b", "c"] {
                writer.write(piece).await;
                *count.borrow_mut() += 1;
            }
            Ok(())
        });
        assert_eq!(body.len(), None);
        let first = block_on(body.chunk());
        assert_eq!(first.ok().flatten().as_deref(), Some(&b"a"[..]));
        assert_eq!(
            *written.borrow(),
            0,
            "the second piece is not made before the first is taken"
        );
        assert_eq!(block_on(body.bytes()).ok().as_deref(), Some(&b"bc"[..]));
        assert_eq!(*written.borrow(), 4);
    }

    #[test]
    fn a_stream_that_fails_does_not_end_well() {
        let body = Body::stream(async |writer| {
            writer.write("half of ").await;
            Err(Error::bad_gateway(""))
        });
        assert!(block_on(body.bytes()).is_err());
    }
}
