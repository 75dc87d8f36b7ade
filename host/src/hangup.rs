//! A socket that notices a peer that has left, also while nobody reads from it.
//!
//! hyper reads no further while the body of a request waits for its guest, and so does not see that its caller
//! has gone. The kernel does: a second registration of the socket is told of the end of its stream
//! (`EPOLLRDHUP`), whatever lies unread before it. hyper flushes whenever it has nothing else to do, and that
//! is where the error is put.
//!
//! What it cannot notice is the end of a stream that has not arrived: as long as the socket's buffer is full of
//! what nobody reads, TCP keeps the rest, and the end, with the peer (RFC 9293, section 3.8.6).

use std::{
    io,
    os::fd::AsFd as _,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

/// Time for an answer that is under way, and for a reader that is about to see the end itself.
const GRACE: Duration = Duration::from_millis(20);

/// A TCP socket whose `flush` fails when the peer has ended its stream and nobody reads.
///
/// A peer that only shuts its writing side is taken for one that has left, as hyper takes it where it reads.
pub(crate) struct HangUp {
    stream: TcpStream,
    /// The last read waits for bytes: it will see the end itself.
    reading: bool,
    /// Made when it is first needed: most connections always read.
    watch: Option<TcpStream>,
    /// Runs from the hang-up on.
    grace: Option<Pin<Box<Sleep>>>,
}

impl HangUp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            reading: false,
            watch: None,
            grace: None,
        }
    }

    /// Ready when the peer has left, some time ago.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.grace.is_none() {
            ready!(self.poll_hang_up(cx));
        }
        let grace = self
            .grace
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(GRACE)));
        grace.as_mut().poll(cx)
    }

    fn poll_hang_up(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.watch.is_none() {
            self.watch = watch(&self.stream);
        }
        // Without a watch the peer is noticed when the body is read.
        let Some(watch) = &self.watch else {
            return Poll::Pending;
        };
        loop {
            // This leaves a waker behind, and the future of `ready`, which tells what happened, does not.
            if ready!(watch.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            let happened = pin!(watch.ready(Interest::READABLE)).poll(cx);
            if let Poll::Ready(Ok(ready)) = happened
                && ready.is_read_closed()
            {
                return Poll::Ready(());
            }
            // Bytes came. Nobody takes them, so the next event, of which this makes the socket tell, is more
            // of them, or the end.
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = watch.try_io(Interest::READABLE, nothing);
        }
    }
}

/// The socket once more, under another descriptor: its events are told apart from those of the first.
fn watch(stream: &TcpStream) -> Option<TcpStream> {
    let again = stream.as_fd().try_clone_to_owned();
    let watch = again.and_then(|fd| TcpStream::from_std(fd.into()));
    watch
        .inspect_err(|error| tracing::debug!(%error, "a caller that leaves is noticed late"))
        .ok()
}

impl AsyncRead for HangUp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.reading = polled.is_pending();
        self.grace = None;
        polled
    }
}

impl AsyncWrite for HangUp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if !self.reading && self.poll_left(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (HangUp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(listener.accept(), far);
        (HangUp::new(near.unwrap().0), far.unwrap())
    }

    /// Flushes until it fails, as hyper does when it is woken.
    async fn left(near: &mut HangUp) -> io::Error {
        std::future::poll_fn(|cx| match Pin::new(&mut *near).poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            _ => Poll::Pending,
        })
        .await
    }

    #[tokio::test]
    async fn a_peer_that_leaves_behind_unread_bytes_is_noticed() {
        for reset in [false, true] {
            let (mut near, mut far) = pair().await;
            far.write_all(&[1; 10_000]).await.unwrap();
            let mut some = [0; 10];
            near.read_exact(&mut some).await.unwrap();
            // While it is there, flushing is well.
            {
                let waiting = left(&mut near);
                let waiting = tokio::time::timeout(Duration::from_millis(50), waiting);
                assert!(waiting.await.is_err());
            }
            far.write_all(&[2; 10_000]).await.unwrap();
            if reset {
                far.set_zero_linger().unwrap();
            }
            drop(far);
            let error = left(&mut near).await;
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
    }

    #[tokio::test]
    async fn one_that_reads_sees_the_end_itself() {
        let (mut near, far) = pair().await;
        let mut some = [0; 10];
        let reading = std::future::poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut some);
            let polled = Pin::new(&mut near).poll_read(cx, &mut buf);
            Poll::Ready(polled.is_pending())
        });
        assert!(reading.await);
        drop(far);
        tokio::time::sleep(GRACE * 2).await;
        near.flush().await.unwrap();
        assert_eq!(near.read(&mut some).await.unwrap(), 0);
    }
}
