//! Outbound HTTP/2: many calls over one connection, and each of them ends by itself.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use webtask_tests::{Authority, Origin, Raw, SOON};

use super::{
    built::guests,
    calls::{caller, calls, ok, trusting},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_carries_many_calls_over_one_connection() {
    let authority = Authority::new();
    let origin = Origin::tls(authority.acceptor("127.0.0.1", &["h2", "http/1.1"]), ok).await;
    let host = trusting(&authority).await;
    let token = caller(&host, &origin.url("/*"));
    assert_eq!(
        calls(&host, &token, "n=1", &origin.url("/a?b=c")).await,
        ["200 15"]
    );
    let said = calls(
        &host,
        &token,
        "n=16&wide=8&up=100000",
        &origin.url("/a?b=c"),
    )
    .await;
    assert_eq!(said, vec!["200 15"; 16]);
    assert_eq!(origin.connections(), vec![0; 17]);
    for (index, seen) in origin.seen().iter().enumerate() {
        assert_eq!(
            (seen.version, seen.path.as_str()),
            (Version::HTTP_2, "/a?b=c")
        );
        assert_eq!(seen.body.len(), if index == 0 { 0 } else { 100_000 });
        assert!(!seen.headers.contains_key("host"), "{seen:?}");
    }
}

/// A stream that is given up is reset; the others and the connection go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_survives_an_answer_that_is_not_read() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let origin = Origin::tls(acceptor, |_| Response::new(vec![0; 4 << 20].into())).await;
    let host = trusting(&authority).await;
    let token = caller(&host, &origin.url("/*"));
    let said = calls(&host, &token, "n=8&wide=8&way=head", &origin.url("/")).await;
    assert_eq!(said, ["200 0"; 8]);
    let said = calls(&host, &token, "n=2", &origin.url("/")).await;
    assert_eq!(said, ["200 4194304"; 2]);
    let connections = origin.connections();
    assert_eq!(connections[8], connections[9], "{connections:?}");
}

/// A reset stream is an error of its own call; a goodbye lets what is under way finish.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_resets_and_goodbyes_are_typed() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let origin = Raw::serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let stream = acceptor.accept(stream).await.expect("TLS");
            let service = service_fn(|request: Request<Incoming>| async move {
                match request.uri().path() {
                    // hyper resets the stream of a service that fails.
                    "/reset" => Err("reset"),
                    _ => Ok(Response::new(Full::new(Bytes::from_static(b"ok")))),
                }
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        }
    })
    .await;
    let url = origin.url.replace("http:", "https:");
    let host = trusting(&authority).await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {url}*")]);
    let get = async |how: String| host.get(&token, &how).await.text().to_owned();
    assert_eq!(
        get(format!("/?n=1&url={url}reset")).await,
        "connection-terminated"
    );
    // Over the same connection, through its goodbye, and over the next one.
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_millis(1_200) {
        assert_eq!(
            get(format!("/?n=4&wide=4&url={url}")).await,
            ["200 2"; 4].join("\n")
        );
    }
}

/// An HTTP/2 origin takes no more of an upload: with the caller, the stream ends all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_nobody_takes_ends_with_the_caller() {
    /// Says when hyper gives up an exchange.
    struct Ended(tokio::sync::mpsc::UnboundedSender<&'static str>);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.send("ended");
        }
    }
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &["h2"]);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let origin = Raw::serve(move |stream| {
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        async move {
            let stream = acceptor.accept(stream).await.expect("TLS");
            let service = service_fn(|request: Request<Incoming>| {
                let _ = tell.send("began");
                let ended = Ended(tell.clone());
                async move {
                    std::future::pending::<()>().await;
                    drop((ended, request));
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
    let url = origin.url.replace("http:", "https:");
    let host = trusting(&authority).await;
    let token = host.token_with_grants(guests::CALLS, &[&format!("* {url}")]);
    let path = format!("/?n=1&up=8000000&url={url}");
    let mut caller = Box::pin(host.get(&token, &path));
    tokio::select! {
        reply = &mut caller => panic!("nobody answered: {reply:?}"),
        began = told.recv() => assert_eq!(began, Some("began")),
    }
    drop(caller);
    let ended = tokio::time::timeout(SOON, told.recv()).await;
    assert_eq!(ended, Ok(Some("ended")));
}
