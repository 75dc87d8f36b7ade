//! Calls `url=`, which comes last, and waits `?connect=`, `&first=` and `&between=` milliseconds at most; says what came of it. With `&trailers=1` the request has some.
use webtask_test_guests::{
    Fields, IncomingRequest, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    ResponseOutparam, Scheme, answer, number, raw, wasi,
};

raw!(handle);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let said = call(&request).unwrap_or_else(|error| error);
    answer(out, &said);
}

fn call(request: &IncomingRequest) -> Result<String, String> {
    let options = RequestOptions::new();
    let nanos = |name| Some(number(request, name, 60_000) * 1_000_000);
    let _ = options.set_connect_timeout(nanos("connect"));
    let _ = options.set_first_byte_timeout(nanos("first"));
    let _ = options.set_between_bytes_timeout(nanos("between"));
    let asked = request.path_with_query().unwrap_or_default();
    let url = asked.split_once("url=http://").expect("a URL").1;
    let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
    let send = OutgoingRequest::new(Fields::new());
    let _ = send.set_method(&Method::Get);
    let _ = send.set_scheme(Some(&Scheme::Http));
    let _ = send.set_authority(Some(authority));
    let _ = send.set_path_with_query(Some(path));
    let code = |code| format!("{code:?}");
    let trailers = number(request, "trailers", 0) > 0;
    let body = trailers.then(|| {
        let _ = send.set_method(&Method::Post);
        send.body().expect("the first time")
    });
    let coming = wasi::http::outgoing_handler::handle(send, Some(options)).map_err(code)?;
    if let Some(body) = body {
        let fields = Fields::new();
        let _ = fields.append("x-last", b"1");
        let _ = OutgoingBody::finish(body, Some(fields));
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
