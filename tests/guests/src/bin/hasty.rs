//! Calls `url=`, which comes last, and waits `?connect=`, `&first=` and `&between=` milliseconds at most; says what came of it. With `&trailers=1` the request has some.
use webtask_test_guests::{Fields, Method, RequestOptions, Scheme, path, query_number, raw, wasi};

fn options(asked: &str) -> RequestOptions {
    let options = RequestOptions::new();
    let nanos = |name| Some(query_number(asked, name, 60_000) * 1_000_000);
    let _ = options.set_connect_timeout(nanos("connect"));
    let _ = options.set_first_byte_timeout(nanos("first"));
    let _ = options.set_between_bytes_timeout(nanos("between"));
    options
}

/// Its authority and its path.
fn url(asked: &str) -> (&str, &str) {
    let url = asked.split_once("url=http://").expect("a URL").1;
    url.split_at(url.find('/').unwrap_or(url.len()))
}

#[cfg(not(feature = "p3"))]
raw!(|request, out| {
    use webtask_test_guests::{OutgoingBody, begin, write};
    let said = call(&path(&request)).unwrap_or_else(|error| error);
    let body = begin(out, &[]);
    write(&body, said.as_bytes());
    let _ = OutgoingBody::finish(body, None);
});

#[cfg(not(feature = "p3"))]
fn call(asked: &str) -> Result<String, String> {
    let (authority, path) = url(asked);
    let send = webtask_test_guests::OutgoingRequest::new(Fields::new());
    let _ = send.set_method(&Method::Get);
    let _ = send.set_scheme(Some(&Scheme::Http));
    let _ = send.set_authority(Some(authority));
    let _ = send.set_path_with_query(Some(path));
    let code = |code| format!("{code:?}");
    let trailers = query_number(asked, "trailers", 0) > 0;
    let body = trailers.then(|| {
        let _ = send.set_method(&Method::Post);
        send.body().expect("the first time")
    });
    let coming = wasi::http::outgoing_handler::handle(send, Some(options(asked))).map_err(code)?;
    if let Some(body) = body {
        let fields = Fields::new();
        let _ = fields.append("x-last", b"1");
        let _ = webtask_test_guests::OutgoingBody::finish(body, Some(fields));
    }
    coming.subscribe().block();
    let response = coming
        .get()
        .expect("it is there")
        .expect("the first time")
        .map_err(code)?;
    let body = response.consume().expect("the first time");
    let stream = body.stream().expect("the first time");
    loop {
        match stream.blocking_read(4096) {
            Ok(_) => {}
            Err(wasi::io::streams::StreamError::Closed) => return Ok("whole".to_owned()),
            Err(wasi::io::streams::StreamError::LastOperationFailed(error)) => {
                return Err(error.to_debug_string());
            }
        }
    }
}

#[cfg(feature = "p3")]
raw!(async |request| {
    let said = call(&path(&request)).await.unwrap_or_else(|error| error);
    Ok(webtask_test_guests::response(&[], said))
});

#[cfg(feature = "p3")]
async fn call(asked: &str) -> Result<String, String> {
    use webtask::__bindings::wit_future;
    use webtask_test_guests::{Request, Response};
    let (authority, path) = url(asked);
    let (end, trailers) = wit_future::new(|| Ok(None));
    let (send, _) = Request::new(Fields::new(), None, trailers, Some(options(asked)));
    let _ = send.set_method(&Method::Get);
    if query_number(asked, "trailers", 0) > 0 {
        let _ = send.set_method(&Method::Post);
        let fields = Fields::new();
        let _ = fields.append("x-last", b"1");
        drop(webtask::__private::spawn_local(end.write(Ok(Some(fields)))));
    }
    let _ = send.set_scheme(Some(&Scheme::Http));
    let _ = send.set_authority(Some(authority));
    let _ = send.set_path_with_query(Some(path));
    let code = |code| format!("{code:?}");
    let response = wasi::http::client::send(send).await.map_err(code)?;
    let (_, result) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Response::consume_body(response, result);
    contents.collect().await;
    trailers.await.map(|_| "whole".to_owned()).map_err(code)
}
