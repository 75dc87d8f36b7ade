//! An origin below HTTP: it says what a test lets it say, whatever that is.

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// An origin that writes these bytes for each request, and then keeps silent or closes.
pub struct Raw {
    /// `http://127.0.0.1:port/`.
    pub url: String,
    served: JoinHandle<()>,
}

/// What comes after the bytes.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// The connection ends.
    Close,
    /// Nothing, for ever.
    Wait,
}

impl Raw {
    /// Answers every request with the same bytes.
    pub async fn start(answer: impl Into<Bytes>, then: Then) -> Self {
        let answer = answer.into();
        Self::serve(move |mut stream| {
            let answer = answer.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = stream.write_all(&answer).await;
                if matches!(then, Then::Wait) {
                    std::future::pending::<()>().await;
                }
            }
        })
        .await
    }

    /// Treats each connection in this way, one after the other.
    pub async fn serve<F: Future<Output = ()> + Send>(
        connection: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let served = tokio::spawn(async move {
            // One at a time: no test needs more.
            while let Ok((stream, _)) = listener.accept().await {
                connection(stream).await;
            }
        });
        Self { url, served }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.served.abort();
    }
}
